import HandoutCore
import HandoutExecutor
import HandoutScheduler
import Testing

/// Strategies are asked while the run goes on.
@Suite struct AskingTests {
    @Test func `what was chosen goes to all slots, and nobody asks again for it`() throws {
        let scene = Scene(tasks: 6, ScriptedStrategist([[5, 3], [0, 1, 2, 4]]))
        #expect(scene.coordinator.next(slot: 0) == .run)
        #expect(scene.link.lease(0) == [5])
        #expect(scene.coordinator.next(slot: 1) == .run)
        #expect(scene.link.lease(1) == [3])
        #expect(scene.strategist.asked == 1)
        #expect(scene.strategist.read == 6)
        scene.link.finish(0)
        #expect(scene.coordinator.next(slot: 0) == .run)
        #expect(scene.strategist.asked == 2)
        #expect(scene.strategist.ready == [0, 1, 2, 4])
        #expect(scene.link.lease(0).first == 0)
    }

    @Test func `while a strategy is asked, what ends is counted and the other slot runs on`() throws {
        let scene = Scene(tasks: 5, ScriptedStrategist([[0, 1], [2, 3], [4]]))
        #expect(scene.coordinator.next(slot: 0) == .run)
        #expect(scene.coordinator.next(slot: 1) == .run)
        scene.strategist.hold()
        let asking = try scene.next(0)
        scene.strategist.waitUntilAsked()
        // Nothing of this could be done if the coordinator waited for the answer.
        scene.link.finish(1)
        #expect(scene.coordinator.snapshot().counts.done == 2)
        let waiting = try scene.next(1)
        scene.strategist.letGo()
        #expect(asking.end() == .run)
        #expect(waiting.end() == .run)
        #expect(Set(scene.link.lease(0) + scene.link.lease(1)) == [2, 3])
        #expect(scene.strategist.asked == 2)
    }

    @Test func `an answer that comes while the run is paused is asked for again`() throws {
        let scene = Scene(tasks: 2, ScriptedStrategist([[0], [1]]))
        scene.strategist.hold()
        let asking = try scene.next(0)
        scene.strategist.waitUntilAsked()
        scene.coordinator.pause()
        scene.strategist.letGo()
        scene.coordinator.resume()
        #expect(asking.end() == .run)
        // Resumed before the answer was in it is the first one that counts.
        #expect(scene.link.lease(0) == [scene.strategist.asked - 1])
    }

    @Test func `a cancelled run ends although its strategy is asked, and the call is ended`() throws {
        let scene = Scene(tasks: 3, ScriptedStrategist([[0]]))
        scene.strategist.hold()
        let asking = try scene.next(0)
        scene.strategist.waitUntilAsked()
        scene.coordinator.cancel()
        #expect(scene.coordinator.next(slot: 1) == .stop)
        let begun = monotonicNow()
        while scene.strategist.interrupts == 0, monotonicNow() < begun + 5_000_000_000 {
            #expect(scene.coordinator.snapshot().isFinished)
        }
        #expect(scene.strategist.interrupts > 0)
        scene.strategist.letGo()
        #expect(asking.end() == .stop)
        #expect(scene.coordinator.snapshot().counts.skipped == 3)
    }

    @Test func `a strategy that hangs is given up, and the run goes on without it`() throws {
        let scene = Scene(tasks: 2, ScriptedStrategist([[1]], patience: 0))
        scene.strategist.hold()
        let asking = try scene.next(0)
        scene.strategist.waitUntilAsked()
        // The thread uses some time now and then.
        while scene.strategist.hung == 0 { _ = scene.coordinator.snapshot() }
        #expect(scene.link.replaced == [0])
        #expect(scene.coordinator.next(slot: 0) == .run)
        #expect(scene.link.lease(0) == [0])
        #expect(scene.coordinator.next(slot: 1) == .run)
        #expect(scene.link.lease(1) == [1])
        // What it says at last is of no use to anybody.
        scene.strategist.letGo()
        #expect(asking.end() == .leave)
        #expect(scene.strategist.read == nil)
        #expect(scene.link.lease(0) == [0])
        #expect(scene.strategist.hung == 1)
    }
}
