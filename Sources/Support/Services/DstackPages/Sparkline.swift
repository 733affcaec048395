extension HTML {
    /// How a number went, as a line: oldest left, newest right.
    ///
    /// - Parameters:
    ///   - values: numbers of any size; those that are not finite are left out.
    ///   - floor: the top of the picture shows at least this much, so that noise around zero does not look like a storm.
    ///   - label: says in words what the picture shows, for those who do not see it.
    package static func sparkline(_ values: [Double], floor: Double, label: String) -> HTML {
        let values = values.filter(\.isFinite).suffix(240)
        // A line needs two ends.
        guard values.count > 1, let last = values.last else { return .empty }
        let top = max(values.max() ?? 0, floor, .leastNormalMagnitude)
        // As wide as bars are, so that both end where the other does.
        let (width, height) = (320, 40)
        func x(_ index: Int) -> Int { index * (width - 4) / (values.count - 1) + 2 }
        func y(_ value: Double) -> Int { height - 3 - Int((max(0, value) / top * Double(height - 6)).rounded()) }
        let points = values.enumerated().flatMap { [x($0.offset), y($0.element)] }
        let area = [2, height] + points + [x(values.count - 1), height]
        return .element(
            .svg, .class("spark"), viewBox(width, height), .svg("preserveAspectRatio", "xMinYMid"), .role("img"),
            .ariaLabel(label)
        ) {
            HTML.element(.polyline, .class("area"), .svg("points", numbers: area))
            HTML.element(.polyline, .class("line"), .svg("points", numbers: points))
            HTML.element(
                .circle, .class("dot"), .svg("cx", x(values.count - 1)), .svg("cy", y(last)), .svg("r", 2))
        }
    }
}
