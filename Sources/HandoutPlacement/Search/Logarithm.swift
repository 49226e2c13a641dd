/// Natural logarithm and its inverse to about nine places, the same on every machine: the C library's may differ in the
/// last bit from release to release, and a search would then go another way.
func logarithm(_ value: Double) -> Double {
    guard value > 0, value.isFinite else { return value > 0 ? value : -.infinity }
    var significand = value.significand
    var exponent = Double(value.exponent)
    if significand > 1.4142135623730951 {
        significand /= 2
        exponent += 1
    }
    // 2 artanh(z), |z| < 0.172
    let ratio = (significand - 1) / (significand + 1)
    let square = ratio * ratio
    let series = 1 + square * (1 / 3.0 + square * (1 / 5.0 + square * (1 / 7.0 + square * (1 / 9.0 + square / 11))))
    return 2 * ratio * series + exponent * 0.6931471805599453
}

func exponential(_ value: Double) -> Double {
    // e^x = (e^(x / 1024))^1024
    let small = value / 1024
    var result = 1 + small * (1 + small / 2 * (1 + small / 3 * (1 + small / 4)))
    for _ in 0..<10 { result *= result }
    return result
}
