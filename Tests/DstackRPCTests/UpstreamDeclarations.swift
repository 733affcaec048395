/// Numbers, types and names of the fields of upstream's messages, as its .proto files give them.
enum UpstreamDeclarations {
    static let agent = """
        GetTlsKeyArgs
          1 string subject
          2 repeated string alt_names
          3 bool usage_ra_tls
          4 bool usage_server_auth
          5 bool usage_client_auth
          6 optional uint64 not_before
          7 optional uint64 not_after
          8 bool with_app_info
        DeriveKeyArgs
          1 string path
          2 string subject
          3 repeated string alt_names
          4 bool usage_ra_tls
          5 bool usage_server_auth
          6 bool usage_client_auth
          7 bool random_seed
        GetTlsKeyResponse
          1 string key
          2 repeated string certificate_chain
        GetKeyArgs
          1 string path
          2 string purpose
          3 string algorithm
        DeriveK256KeyResponse
          1 bytes k256_key
          2 repeated bytes k256_signature_chain
        GetKeyResponse
          1 bytes key
          2 repeated bytes signature_chain
        TdxQuoteArgs
          1 bytes report_data
          2 string hash_algorithm
          3 string prefix
        RawQuoteArgs
          1 bytes report_data
        TdxQuoteResponse
          1 bytes quote
          2 string event_log
          3 string hash_algorithm
          4 string prefix
        AttestResponse
          1 bytes attestation
        GpuInfoResponse
          1 string attestation
        GetQuoteResponse
          1 bytes quote
          2 string event_log
          3 bytes report_data
          4 string vm_config
          5 bytes attestation
        AppInfo
          1 bytes app_id
          2 bytes instance_id
          3 string app_cert
          4 string tcb_info
          5 string app_name
          8 bytes device_id
          9 bytes mr_aggregated
          10 bytes os_image_hash
          12 string key_provider_info
          13 bytes compose_hash
          14 string vm_config
          15 string cloud_vendor
          16 string cloud_product
        WorkerVersion
          1 string version
          2 string rev
        SignRequest
          1 string algorithm
          2 bytes data
        SignResponse
          1 bytes signature
          2 repeated bytes signature_chain
          3 bytes public_key
        VerifyRequest
          1 string algorithm
          2 bytes data
          3 bytes signature
          4 bytes public_key
        VerifyResponse
          1 bool valid
        GetAttestationForAppKeyRequest
          1 string algorithm
        EmitEventArgs
          1 string event
          2 bytes payload
        """

    static let guestAPI = """
        Id
          1 string id
        GuestInfo
          1 string version
          2 bytes app_id
          3 bytes instance_id
          4 string app_cert
          5 string tcb_info
          6 bytes device_id
        IpAddress
          1 string address
          2 uint32 prefix
        Interface
          1 string name
          2 repeated IpAddress addresses
          3 uint64 rx_bytes
          4 uint64 tx_bytes
          5 uint64 rx_errors
          6 uint64 tx_errors
        Gateway
          1 string address
        NetworkInformation
          1 repeated string dns_servers
          2 repeated Gateway gateways
          3 repeated Interface interfaces
          4 string wg_info
        ListContainersResponse
          1 repeated Container containers
        Container
          1 string id
          2 repeated string names
          3 string image
          4 string image_id
          6 int64 created
          7 string state
          8 string status
        SystemInfo
          1 string os_name
          2 string os_version
          3 string kernel_version
          4 string cpu_model
          5 uint32 num_cpus
          6 uint64 total_memory
          7 uint64 available_memory
          8 uint64 used_memory
          9 uint64 free_memory
          10 uint64 total_swap
          11 uint64 used_swap
          12 uint64 free_swap
          13 uint64 uptime
          14 uint32 loadavg_one
          15 uint32 loadavg_five
          16 uint32 loadavg_fifteen
          17 repeated DiskInfo disks
        DiskInfo
          1 string name
          2 string mount_point
          3 uint64 total_size
          5 uint64 free_size
        """

    static let hostAPI = """
        HostInfo
          1 string name
          2 string version
        Notification
          1 string event
          2 string payload
        GetSealingKeyRequest
          1 bytes quote
        GetSealingKeyResponse
          1 bytes encrypted_key
          2 bytes provider_quote
        """

    static let kms = """
        GetAppKeyRequest
          1 uint32 api_version
          2 string vm_config
        AppId
          1 bytes app_id
        PublicKeyResponse
          1 bytes public_key
          2 bytes signature
          3 uint64 timestamp
          4 bytes signature_v1
        AppKeyResponse
          1 string ca_cert
          2 bytes disk_crypt_key
          3 bytes env_crypt_key
          4 bytes k256_key
          5 bytes k256_signature
          6 string tproxy_app_id
          7 string gateway_app_id
          8 bytes os_image_hash
        GetMetaResponse
          1 string ca_cert
          2 bool allow_any_upgrade
          3 bytes k256_pubkey
          4 BootstrapResponse bootstrap_info
          5 bool is_dev
          6 optional string gateway_app_id
          7 optional string kms_contract_address
          8 optional uint64 chain_id
          9 optional string app_auth_implementation
        GetKmsKeyRequest
          1 string vm_config
        KmsKeys
          1 string ca_key
          2 bytes k256_key
        KmsKeyResponse
          1 string temp_ca_key
          2 repeated KmsKeys keys
        GetTempCaCertResponse
          1 string temp_ca_cert
          2 string temp_ca_key
          3 string ca_cert
        SignCertRequest
          1 uint32 api_version
          2 bytes csr
          3 bytes signature
          4 string vm_config
        SignCertResponse
          1 repeated string certificate_chain
        ClearImageCacheRequest
          1 string image_hash
          2 string config_hash
        BootstrapRequest
          1 string domain
        BootstrapResponse
          1 bytes ca_pubkey
          2 bytes k256_pubkey
          3 bytes attestation
        OnboardRequest
          1 string source_url
          2 string domain
        OnboardResponse
          1 bytes k256_pubkey
        AttestationInfoResponse
          1 bytes device_id
          2 bytes mr_aggregated
          3 bytes os_image_hash
          4 string tee_variant
          5 string site_name
          6 string eth_rpc_url
          7 string kms_contract_address
          8 bytes ppid
        """
}
