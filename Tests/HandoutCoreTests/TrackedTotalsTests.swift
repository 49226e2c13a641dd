import HandoutCore
import Testing

/// What holds of a tracker's resources, reading after reading.
@Suite struct TrackedTotalsTests {
    @Test func `nothing is there until a report, and only changes are told`() {
        var tracked = TrackedTotals(name: "n", provides: ["a", "b"])
        #expect(tracked.totals == ["a": 0, "b": 0])
        #expect(
            tracked.take(.report(TrackerReport(totals: ["a": 5], price: 2, labels: ["z": "eu"])))
                == [.totals(["a": 5, "b": 0]), .price(2), .labels(["z": "eu"])])
        #expect(tracked.take(.report(TrackerReport(totals: ["a": 5], price: 2))) == [])
        #expect(tracked.take(.report(TrackerReport(totals: ["other": 5], price: 3))) == [.price(3)])
    }

    @Test func `the last report holds for two readings that are not known, the third takes all away and warns once`() {
        var tracked = TrackedTotals(name: "n", provides: ["a"])
        _ = tracked.take(.report(TrackerReport(totals: ["a": 5])))
        #expect(tracked.take(.unknown("x")) == [] && tracked.take(.unknown(nil)) == [])
        #expect(tracked.totals == ["a": 5])
        #expect(
            tracked.take(.unknown("no answer"))
                == [
                    .totals(["a": 0]),
                    .warning(TrackerProblem(message: "tracker 'n' has not answered 3 times in a row: no answer")),
                ])
        #expect(tracked.take(.unknown("no answer")) == [])
        #expect(tracked.take(.report(TrackerReport(totals: ["a": 5]))) == [.totals(["a": 5])])
    }

    @Test func `a report begins the count anew`() {
        var tracked = TrackedTotals(name: "n", provides: ["a"])
        for _ in 0..<3 {
            _ = tracked.take(.unknown(nil))
            _ = tracked.take(.unknown(nil))
            #expect(!tracked.take(.report(TrackerReport(totals: ["a": 5]))).contains { $0 == .totals(["a": 0]) })
        }
        #expect(tracked.totals == ["a": 5])
    }

    @Test func `a tracker that is wrong is warned of at once and once, until it answers`() {
        var tracked = TrackedTotals(name: "n", provides: ["a"])
        let problem = TrackerProblem(message: "no", file: "t.lua", line: 3)
        #expect(problem.text == "t.lua:3: no")
        _ = tracked.take(.report(TrackerReport(totals: ["a": 5])))
        #expect(tracked.take(.failed(problem)) == [.warning(problem)])
        #expect(tracked.take(.failed(problem)) == [])
        #expect(tracked.take(.unknown("x")) == [.totals(["a": 0])])
        _ = tracked.take(.report(TrackerReport(totals: ["a": 5])))
        #expect(tracked.take(.failed(problem)) == [.warning(problem)])
    }
}
