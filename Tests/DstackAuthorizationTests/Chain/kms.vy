# pragma version 0.4.3
# The part of DstackKms that answers questions: the same functions, storage by meaning, and reasons.

struct AppBootInfo:
    appId: address
    composeHash: bytes32
    instanceId: address
    deviceId: bytes32
    mrAggregated: bytes32
    mrSystem: bytes32
    osImageHash: bytes32
    tcbStatus: String[128]
    advisoryIds: DynArray[String[256], 16]

interface IAppAuth:
    def isAppAllowed(bootInfo: AppBootInfo) -> (bool, String[128]): view

gatewayAppId: public(String[128])
registeredApps: public(HashMap[address, bool])
kmsAllowedAggregatedMrs: public(HashMap[bytes32, bool])
kmsAllowedDeviceIds: public(HashMap[bytes32, bool])
allowedOsImages: public(HashMap[bytes32, bool])
appImplementation: public(address)
# What no DstackKms has: a fault that tests turn on.
isFaulty: bool

@external
def setGatewayAppId(entry: String[128]):
    self.gatewayAppId = entry

@external
def setAppImplementation(entry: address):
    self.appImplementation = entry

@external
def registerApp(app: address):
    assert app != empty(address), "Invalid app ID"
    self.registeredApps[app] = True

@external
def addKmsAggregatedMr(entry: bytes32):
    self.kmsAllowedAggregatedMrs[entry] = True

@external
def removeKmsAggregatedMr(entry: bytes32):
    self.kmsAllowedAggregatedMrs[entry] = False

@external
def addKmsDevice(entry: bytes32):
    self.kmsAllowedDeviceIds[entry] = True

@external
def addOsImageHash(entry: bytes32):
    self.allowedOsImages[entry] = True

@external
def removeOsImageHash(entry: bytes32):
    self.allowedOsImages[entry] = False

@external
def setFaulty(entry: bool):
    self.isFaulty = entry

@external
@view
def isKmsAllowed(bootInfo: AppBootInfo) -> (bool, String[128]):
    assert not self.isFaulty, "out of order"
    if bootInfo.tcbStatus != "UpToDate":
        return False, "TCB status is not up to date"
    if not self.allowedOsImages[bootInfo.osImageHash]:
        return False, "OS image is not allowed"
    if not self.kmsAllowedAggregatedMrs[bootInfo.mrAggregated]:
        return False, "Aggregated MR not allowed"
    if not self.kmsAllowedDeviceIds[bootInfo.deviceId]:
        return False, "KMS is not allowed to boot on this device"
    return True, ""

@external
@view
def isAppAllowed(bootInfo: AppBootInfo) -> (bool, String[128]):
    assert not self.isFaulty, "out of order"
    if not self.registeredApps[bootInfo.appId]:
        return False, "App not registered"
    if not self.allowedOsImages[bootInfo.osImageHash]:
        return False, "OS image is not allowed"
    if not bootInfo.appId.is_contract:
        return False, "App not deployed or invalid address"
    return staticcall IAppAuth(bootInfo.appId).isAppAllowed(bootInfo)
