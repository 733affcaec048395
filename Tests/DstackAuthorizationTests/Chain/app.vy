# pragma version 0.4.3
# The part of DstackApp that answers questions.

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

allowedComposeHashes: public(HashMap[bytes32, bool])
allowedDeviceIds: public(HashMap[bytes32, bool])
allowAnyDevice: public(bool)
requireTcbUpToDate: public(bool)

@external
def addComposeHash(entry: bytes32):
    self.allowedComposeHashes[entry] = True

@external
def removeComposeHash(entry: bytes32):
    self.allowedComposeHashes[entry] = False

@external
def addDevice(entry: bytes32):
    self.allowedDeviceIds[entry] = True

@external
def setAllowAnyDevice(entry: bool):
    self.allowAnyDevice = entry

@external
def setRequireTcbUpToDate(entry: bool):
    self.requireTcbUpToDate = entry

@external
@view
def isAppAllowed(bootInfo: AppBootInfo) -> (bool, String[128]):
    if self.requireTcbUpToDate and bootInfo.tcbStatus != "UpToDate":
        return False, "TCB status is not up to date"
    if not self.allowedComposeHashes[bootInfo.composeHash]:
        return False, "Compose hash not allowed"
    if not self.allowAnyDevice and not self.allowedDeviceIds[bootInfo.deviceId]:
        return False, "Device not allowed"
    return True, ""
