/// How fast a request's body comes: in steps of a second, so that what came quickly at first buys no time for what does not
/// come later.
struct BodyPace {
    /// How far behind somebody may be before he counts as slow.
    static let patience: Int64 = 1_000_000_000
    private static let step: UInt64 = 1_000_000_000
    /// So many slow steps one after another end it.
    private static let maximumSlowSteps: Int64 = 5

    private var stepBegan: UInt64 = 0
    /// What had come when the step began.
    private var bytesBefore = 0
    private var slowSteps: Int64 = 0

    /// - Returns: when ``next(_:_:_:_:)`` is to be asked.
    mutating func begin(_ now: UInt64, _ limits: HTTPServerLimits) -> UInt64 {
        self = BodyPace(stepBegan: now)
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
        stepBegan = now
        bytesBefore = bytes
        return min(end, now &+ Self.step)
    }

    /// How far behind a body is, in nanoseconds.
    func lateness(_ now: UInt64, _ bytes: Int, _ limits: HTTPServerLimits) -> Int64 {
        let elapsed = Int64(clamping: now) - Int64(clamping: stepBegan)
        return slowSteps * Int64(Self.step) + elapsed - worth(bytes - bytesBefore, limits)
    }

    /// The time that bytes may take at the least rate.
    func worth(_ bytes: Int, _ limits: HTTPServerLimits) -> Int64 {
        guard limits.minimumBytesPerSecond > 0 else { return 0 }
        return Int64(min(bytes, 1 << 30)) * 1_000_000_000 / Int64(limits.minimumBytesPerSecond)
    }
}
