"""The real Python SDK, synchronous, against an agent: every method, and that refusals are raised.

usage: sdk_sync.py MAIN_ENDPOINT TAPPD_ENDPOINT [legacy]; endpoints are socket paths or URLs
"""
import base64
import hashlib
import json
import sys
import time
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dstack_sdk import DstackClient, TappdClient
from eth_keys.datatypes import PrivateKey, Signature
from eth_utils import keccak

warnings.simplefilter("ignore", DeprecationWarning)
main, tappd_endpoint = sys.argv[1], sys.argv[2]


def expect(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


def refused(call, what):
    try:
        call()
    except Exception as error:
        expect("400" in str(error) or "32-byte digest" in str(error), f"{what}: {error}")
        return
    raise SystemExit(f"not refused: {what}")


def rtmrs_of(quote):
    # Version 4: a header of 48 bytes, then the report; the registers begin at byte 328 of it.
    body = bytes.fromhex(quote)[48:]
    return {i: body[328 + 48 * i:328 + 48 * (i + 1)].hex() for i in range(4)}


def check_quote(answer, report_data):
    raw = answer.decode_quote()
    expect(raw[568:632] == report_data.ljust(64, b"\0"), "report data in the quote")
    expect(answer.replay_rtmrs() == rtmrs_of(answer.quote), "replayed registers are the quote's")
    expect(all(len(event.digest) == 96 for event in answer.decode_event_log()), "every event has its digest")


def check_certificate(answer, common_name, names, server):
    key = load_pem_private_key(answer.key.encode(), None)
    expect(isinstance(key.curve, ec.SECP256R1), "a P-256 key")
    chain = [x509.load_pem_x509_certificate(text.encode()) for text in answer.certificate_chain]
    leaf = chain[0]
    expect(leaf.public_key().public_numbers() == key.public_key().public_numbers(), "the certificate is for the key")
    expect(leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == common_name, "common name")
    leaf.verify_directly_issued_by(chain[1])
    if names:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        values = found.get_values_for_type(x509.DNSName) + [str(a) for a in found.get_values_for_type(x509.IPAddress)]
        expect(sorted(values) == sorted(names), f"names: {values}")
    usages = [e for e in leaf.extensions if e.oid == x509.ExtensionOID.EXTENDED_KEY_USAGE]
    expect(bool(usages) == server, "usages are those that were asked for")
    expect(len(answer.as_uint8array()) > 100 and len(answer.as_uint8array(32)) == 32, "the key as bytes")
    return leaf


client = DstackClient(main)
expect(client.is_reachable(), "reachable")
expect(client.version().version != "", "version")

# Information
info = client.info()
expect(len(info.app_id) == 40 and len(info.device_id) == 64 and len(info.compose_hash) == 64, "identity")
expect(json.loads(info.key_provider_info)["name"] in ("none", "kms"), "key provider")
compose = json.loads(info.tcb_info.app_compose)
expect(info.app_name == compose["name"], "name of the compose file")
if "recorded" not in sys.argv:
    digest = hashlib.sha256(info.tcb_info.app_compose.encode()).hexdigest()
    expect(digest == info.compose_hash == info.tcb_info.compose_hash, "the compose file is the measured one")
for attempt in range(100):
    if client.info().app_cert:
        break
    time.sleep(0.1)
expect("BEGIN CERTIFICATE" in client.info().app_cert, "there is a demo certificate")

# Keys, with their chains
for algorithm in ("secp256k1", "k256", "", "ed25519"):
    key = client.get_key("wallet/0", "ethereum", algorithm)
    expect(len(key.decode_key()) == 32, "a key has 32 bytes")
    claim, issued = key.decode_signature_chain()
    if algorithm != "ed25519":
        public = PrivateKey(key.decode_key()).public_key.to_compressed_bytes()
        app_key = Signature(claim).recover_public_key_from_msg_hash(
            keccak(f"ethereum:{public.hex()}".encode())).to_compressed_bytes()
        kms = Signature(issued).recover_public_key_from_msg_hash(
            keccak(b"dstack-kms-issued:" + bytes.fromhex(info.app_id) + app_key))
        print("kms", kms.to_compressed_bytes().hex())
expect(client.get_key("a").key == client.get_key("a", "other purpose").key, "the purpose is not in the key")
expect(client.get_key("a").key != client.get_key("a/").key, "another path, another key")
expect(client.get_key().key == client.get_key("").key, "no path is the empty path")
refused(lambda: client.get_key("a", "b", "rsa"), "an unknown algorithm")

# Certificates
check_certificate(client.get_tls_key(), "", [], True)
check_certificate(
    client.get_tls_key("web", ["web.example", "10.0.0.7"], usage_ra_tls=True), "web", ["web.example", "10.0.0.7"], True)
check_certificate(client.get_tls_key("plain", usage_server_auth=False), "plain", [], False)
now = int(time.time())
leaf = check_certificate(
    client.get_tls_key("short", not_before=now - 60, not_after=now + 3600, with_app_info=True), "short", [], True)
expect(int(leaf.not_valid_after_utc.timestamp()) == now + 3600, "the end that was asked for")
expect(any(e.oid.dotted_string == "1.3.6.1.4.1.62397.1.9" for e in leaf.extensions), "app info is there")
refused(lambda: client.get_tls_key("x", not_before=now, not_after=now), "an empty validity")

# Evidence
for data in (b"x", "text", b"\xff" * 64):
    raw = data.encode() if isinstance(data, str) else data
    quote = client.get_quote(data)
    check_quote(quote, raw)
    expect(quote.report_data == raw.ljust(64, b"\0").hex(), "report data is echoed")
expect(len(client.attest(b"nonce").decode_attestation()) > 1000, "an attestation")

# Signatures
message = b"a message"
for algorithm in ("ed25519", "secp256k1", "k256"):
    signed = client.sign(algorithm, message)
    expect(len(signed.decode_signature()) == 64 and len(signed.signature_chain) == 3, algorithm)
    expect(client.verify(algorithm, message, signed.decode_signature(), signed.decode_public_key()).valid, algorithm)
    expect(
        not client.verify(algorithm, b"another", signed.decode_signature(), signed.decode_public_key()).valid,
        f"{algorithm}: another message")
digest = hashlib.sha256(message).digest()
signed = client.sign("secp256k1_prehashed", digest)
expect(signed.signature == client.sign("secp256k1", message).signature, "a digest is signed as its message")
refused(lambda: client.sign("secp256k1_prehashed", b"short"), "a digest of another length")
refused(lambda: client.sign("", message), "no algorithm")
refused(lambda: client.verify("ed25519", message, b"x" * 63, signed.decode_public_key()), "a short signature")

# Events
before = client.get_quote(b"before")
client.emit_event("sdk-test", b"payload")
client.emit_event("sdk-test", "text")
after = client.get_quote(b"after")
check_quote(after, b"after")
events = after.decode_event_log()
expect(len(events) == len(before.decode_event_log()) + 2, "two more events")
expect((events[-1].event, events[-1].event_payload, events[-1].imr) == ("sdk-test", b"text".hex(), 3), "the last event")
expect(rtmrs_of(after.quote)[3] != rtmrs_of(before.quote)[3], "RTMR3 has changed")
expect(client.info().tcb_info.rtmr3 == rtmrs_of(after.quote)[3], "Info says so too")

# The older client, and what it inherits
tappd = TappdClient(tappd_endpoint)
expect(tappd.is_reachable() and tappd.version().version != "", "the older socket")
expect(tappd.info().app_id == info.app_id and tappd.info().tcb_info.rtmr3 == rtmrs_of(after.quote)[3], "its Info")
derived = tappd.derive_key("path", "subject", ["alt.example"])
check_certificate(derived, "subject", ["alt.example"], False)
expect(derived.key == tappd.derive_key("path", "other").key, "a derived key is the same each time")
scalar = load_pem_private_key(derived.key.encode(), None).private_numbers().private_value.to_bytes(32, "big")
expect(scalar == client.get_key("path").decode_key(), "older keys share their bytes with GetKey's")
check_quote(tappd.tdx_quote("data", "raw"), b"data".rjust(64, b"\0"))
check_quote(tappd.tdx_quote(b"x" * 64), b"x" * 64)
check_quote(tappd.tdx_quote("data", "sha512"), hashlib.sha512(b"app-data:data").digest())
check_quote(tappd.tdx_quote("data", "keccak256"), keccak(b"app-data:data"))
refused(lambda: tappd.tdx_quote("data", "md5"), "an unknown hash")
refused(lambda: tappd.tdx_quote("data"), "raw data of another length")
expect(tappd.get_key("path").key == client.get_key("path").key, "inherited: get_key")
check_quote(tappd.get_quote("inherited"), b"inherited")
expect(len(tappd.attest("inherited").decode_attestation()) > 1000, "inherited: attest")
expect(tappd.sign("ed25519", message).signature == client.sign("ed25519", message).signature, "inherited: sign")
check_certificate(tappd.get_tls_key("x"), "x", [], True)
tappd.emit_event("sdk-test", "tappd")
check_quote(tappd.get_quote("last"), b"last")
print("done")
