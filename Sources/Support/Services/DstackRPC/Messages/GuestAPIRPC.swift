/// What a guest tells its host, and the host passes on (upstream's package `guest_api`).
package enum GuestAPIRPC {
    /// Served by the guest agent over vsock.
    package enum GuestApi {
        package static let name = "GuestApi"
        package static let info = RPCMethod<RPCEmpty, GuestInfo>(name, "Info", .repeatable)
        package static let sysInfo = RPCMethod<RPCEmpty, SystemInfo>(name, "SysInfo", .repeatable)
        package static let networkInfo = RPCMethod<RPCEmpty, NetworkInformation>(name, "NetworkInfo", .repeatable)
        package static let listContainers = RPCMethod<RPCEmpty, ListContainersResponse>(
            name, "ListContainers", .repeatable)
        package static let shutdown = RPCMethod<RPCEmpty, RPCEmpty>(name, "Shutdown", .once)
    }

    /// Served by the host for each of its virtual machines.
    package enum ProxiedGuestApi {
        package static let name = "ProxiedGuestApi"
        package static let info = RPCMethod<Id, GuestInfo>(name, "Info", .repeatable)
        package static let sysInfo = RPCMethod<Id, SystemInfo>(name, "SysInfo", .repeatable)
        package static let networkInfo = RPCMethod<Id, NetworkInformation>(name, "NetworkInfo", .repeatable)
        package static let listContainers = RPCMethod<Id, ListContainersResponse>(
            name, "ListContainers", .repeatable)
        package static let shutdown = RPCMethod<Id, RPCEmpty>(name, "Shutdown", .once)
    }

    /// Names a virtual machine, where the host passes a call on.
    package struct Id: RPCMessage {
        package var id = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "id", &id)
        }
    }

    package struct GuestInfo: RPCMessage {
        package var version = ""
        package var appID: [UInt8] = []
        package var instanceID: [UInt8] = []
        package var appCertificate = ""
        /// JSON.
        package var tcbInfo = ""
        package var deviceID: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "version", &version)
            fields.value(2, "app_id", &appID)
            fields.value(3, "instance_id", &instanceID)
            fields.value(4, "app_cert", &appCertificate)
            fields.value(5, "tcb_info", &tcbInfo)
            fields.value(6, "device_id", &deviceID)
        }
    }

    package struct IpAddress: RPCMessage {
        package var address = ""
        package var prefix: UInt32 = 0

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "address", &address)
            fields.value(2, "prefix", &prefix)
        }
    }

    package struct Interface: RPCMessage {
        package var name = ""
        package var addresses: [IpAddress] = []
        package var receivedBytes: UInt64 = 0
        package var sentBytes: UInt64 = 0
        package var receiveErrors: UInt64 = 0
        package var sendErrors: UInt64 = 0

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "name", &name)
            fields.messages(2, "addresses", &addresses)
            fields.value(3, "rx_bytes", &receivedBytes)
            fields.value(4, "tx_bytes", &sentBytes)
            fields.value(5, "rx_errors", &receiveErrors)
            fields.value(6, "tx_errors", &sendErrors)
        }
    }

    package struct Gateway: RPCMessage {
        package var address = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "address", &address)
        }
    }

    package struct NetworkInformation: RPCMessage {
        package var dnsServers: [String] = []
        package var gateways: [Gateway] = []
        package var interfaces: [Interface] = []
        package var wireGuardInfo = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.repeated(1, "dns_servers", &dnsServers)
            fields.messages(2, "gateways", &gateways)
            fields.messages(3, "interfaces", &interfaces)
            fields.value(4, "wg_info", &wireGuardInfo)
        }
    }

    package struct Container: RPCMessage {
        package var id = ""
        /// With the leading `/` that Docker gives them.
        package var names: [String] = []
        package var image = ""
        package var imageID = ""
        /// Seconds since 1970.
        package var created: Int64 = 0
        package var state = ""
        package var status = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "id", &id)
            fields.repeated(2, "names", &names)
            fields.value(3, "image", &image)
            fields.value(4, "image_id", &imageID)
            fields.value(6, "created", &created)
            fields.value(7, "state", &state)
            fields.value(8, "status", &status)
        }
    }

    package struct ListContainersResponse: RPCMessage {
        package var containers: [Container] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.messages(1, "containers", &containers)
        }
    }

    package struct DiskInfo: RPCMessage {
        package var name = ""
        package var mountPoint = ""
        /// Bytes.
        package var totalSize: UInt64 = 0
        /// Bytes.
        package var freeSize: UInt64 = 0

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "name", &name)
            fields.value(2, "mount_point", &mountPoint)
            fields.value(3, "total_size", &totalSize)
            fields.value(5, "free_size", &freeSize)
        }
    }

    /// Sizes are in bytes.
    package struct SystemInfo: RPCMessage {
        package var osName = ""
        package var osVersion = ""
        package var kernelVersion = ""
        package var cpuModel = ""
        package var processorCount: UInt32 = 0
        package var totalMemory: UInt64 = 0
        package var availableMemory: UInt64 = 0
        package var usedMemory: UInt64 = 0
        package var freeMemory: UInt64 = 0
        package var totalSwap: UInt64 = 0
        package var usedSwap: UInt64 = 0
        package var freeSwap: UInt64 = 0
        /// Seconds.
        package var uptime: UInt64 = 0
        /// Hundredths.
        package var loadAverageOne: UInt32 = 0
        /// Hundredths.
        package var loadAverageFive: UInt32 = 0
        /// Hundredths.
        package var loadAverageFifteen: UInt32 = 0
        package var disks: [DiskInfo] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "os_name", &osName)
            fields.value(2, "os_version", &osVersion)
            fields.value(3, "kernel_version", &kernelVersion)
            fields.value(4, "cpu_model", &cpuModel)
            fields.value(5, "num_cpus", &processorCount)
            fields.value(6, "total_memory", &totalMemory)
            fields.value(7, "available_memory", &availableMemory)
            fields.value(8, "used_memory", &usedMemory)
            fields.value(9, "free_memory", &freeMemory)
            fields.value(10, "total_swap", &totalSwap)
            fields.value(11, "used_swap", &usedSwap)
            fields.value(12, "free_swap", &freeSwap)
            fields.value(13, "uptime", &uptime)
            fields.value(14, "loadavg_one", &loadAverageOne)
            fields.value(15, "loadavg_five", &loadAverageFive)
            fields.value(16, "loadavg_fifteen", &loadAverageFifteen)
            fields.messages(17, "disks", &disks)
        }
    }
}
