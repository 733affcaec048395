import DstackNetwork

/// How fast a request's body comes: in steps of a second, so that what came quickly at first buys no time for what does not
/// come later.
struct BodyPace {
    /// How far behind the least rate somebody may be before he counts as slow.
    static let patience: Int64 = 1_000_000_000
    private static let step: UInt64 = 1_000_000_000
    /// So many slow steps one after another end it.
    private static let maximumSlowSteps: Int64 = 5
    /// So many times the least rate is what honest clients easily do.
    private static let briskness: Int64 = 64

    private var stepBegan: UInt64 = 0
    /// What had come when the step began.
    private var bytesBefore = 0
    private var slowSteps: Int64 = 0
    /// Of the steps that are over, the time that a brisk client would not have taken.
    private var wasted: Int64 = 0

    /// - Parameter bytes: what has come of the body before.
    /// - Returns: when ``next(_:_:_:_:)`` is to be asked.
    mutating func begin(_ now: UInt64, _ limits: HTTPServerLimits, from bytes: Int = 0) -> UInt64 {
        self = BodyPace(stepBegan: now)
        bytesBefore = bytes
        return now &+ min(Self.step, limits.bodyTimeout.wholeNanoseconds)
    }

    init() {}

    private init(stepBegan: UInt64) { self.stepBegan = stepBegan }

    /// Looks at a step that is over.
    ///
    /// - Parameters:
    ///   - start: when the body began.
    ///   - bytes: of it, so far.
    /// - Returns: when to look again; nil if it is to end.
    mutating func next(_ now: UInt64, _ start: UInt64, _ bytes: Int, _ limits: HTTPServerLimits) -> UInt64? {
        let end = start &+ limits.bodyTimeout.wholeNanoseconds
        slowSteps = bytes - bytesBefore < limits.minimumBytesPerSecond ? slowSteps + 1 : 0
        guard now < end, slowSteps < Self.maximumSlowSteps else { return nil }
        wasted = lateness(now, bytes, limits)
        stepBegan = now
        bytesBefore = bytes
        return min(end, now &+ Self.step)
    }

    /// Whether a body comes too slowly; never where there is no least rate.
    func isSlow(_ now: UInt64, _ bytes: Int, _ limits: HTTPServerLimits) -> Bool {
        guard limits.minimumBytesPerSecond > 0 else { return false }
        let behind = Self.behind(elapsed(now), bytes - bytesBefore, limits.minimumBytesPerSecond)
        return slowSteps * Int64(Self.step) + behind > Self.patience
    }

    /// For how long it has kept its place without need, in nanoseconds: 0 for who sends briskly, nearly all of its time for
    /// who keeps just above the least rate. It compares with the time that others have taken for what they hold up: an address
    /// that many share must not lose its slow handshakes to bodies that are stretched on purpose.
    func lateness(_ now: UInt64, _ bytes: Int, _ limits: HTTPServerLimits) -> Int64 {
        wasted + Self.lateness(elapsed(now), bytes - bytesBefore, limits)
    }

    /// As ``lateness(_:_:_:)`` for what began `elapsed` nanoseconds ago and is of so many bytes yet.
    static func lateness(_ elapsed: Int64, _ bytes: Int, _ limits: HTTPServerLimits) -> Int64 {
        max(0, behind(elapsed, bytes, limits.minimumBytesPerSecond * Int(briskness)))
    }

    /// The time beyond what bytes may take at a rate; below 0 for who is ahead of it.
    static func behind(_ elapsed: Int64, _ bytes: Int, _ bytesPerSecond: Int) -> Int64 {
        guard bytesPerSecond > 0 else { return elapsed }
        return elapsed - Int64(min(bytes, 1 << 30)) * 1_000_000_000 / Int64(bytesPerSecond)
    }

    private func elapsed(_ now: UInt64) -> Int64 { Int64(clamping: now) - Int64(clamping: stepBegan) }
}
