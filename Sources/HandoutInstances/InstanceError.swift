/// Why a file is no instance: the first problem, with its place (`tasks[3].deps[0].task: no task 'x'`).
///
/// Names in it come from the file: escape it where it is shown.
package struct InstanceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Members and indices from the root; empty: the file as a whole.
    package var place: String
    package var message: String

    package init(place: String = "", message: String) {
        self.place = place
        self.message = message
    }

    package var description: String { place.isEmpty ? message : "\(place): \(message)" }
}
