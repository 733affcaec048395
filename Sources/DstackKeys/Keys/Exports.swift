@_exported public import enum DstackCrypto.KeyAlgorithm
@_exported public import enum DstackCrypto.MessageSignatureAlgorithm
// Types of lower floors that are part of this module's interface; who imports it need not know where they are declared.
@_exported public import struct DstackEncoding.FixedBytes
