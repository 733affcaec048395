package import DstackAttestation
package import DstackAuthorization
package import DstackKMS

/// Who asked, after the evidence was verified, whoever decides said yes, and the image was found to be what it claims.
package struct AdmittedCaller: Sendable {
    /// As it was decided about. Where no image need be verified, its image is what the host stated.
    package let boot: BootInfo
    package let appID: AppID
    /// Nil for an application without instances.
    package let instanceID: InstanceID?
    /// What certificates may say of it: only what was verified, as of the whole event log. Its image is nil where none need be
    /// verified and this one was not.
    package let appInfo: AppInfo
    /// The application of gateways, as whoever decided named it.
    package let gatewayAppID: String
    package let auditSubject: AuditSubject

    package init(
        boot: BootInfo, appID: AppID, instanceID: InstanceID?, appInfo: AppInfo, gatewayAppID: String,
        auditSubject: AuditSubject
    ) {
        self.boot = boot
        self.appID = appID
        self.instanceID = instanceID
        self.appInfo = appInfo
        self.gatewayAppID = gatewayAppID
        self.auditSubject = auditSubject
    }
}
