import HandoutCore
import Synchronization

/// What tasks have said last of their own progress: the newest is shown at the end of the status line.
final class TaskProgress: Sendable {
    private let latest = Mutex<(task: String, text: String)?>(nil)

    /// From any thread; at 1 the task has no more to say.
    func report(_ task: String, _ fraction: Double, _ text: String) {
        latest.withLock { latest in
            if fraction >= 1 {
                if latest?.task == task { latest = nil }
            } else {
                latest = (task, "\(Int(fraction * 100)) %" + (text.isEmpty ? "" : " " + text))
            }
        }
    }

    /// ` · train: 40 % loading`, or nothing.
    var suffix: String {
        latest.withLock { latest in
            latest.map { TextEscape.shown(" · \($0.task): \($0.text)") } ?? ""
        }
    }
}
