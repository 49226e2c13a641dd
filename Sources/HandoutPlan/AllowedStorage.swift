package import CLuaShim
import Glibc

/// What a run allows, its secrets and what planning read, in memory that C code keeps pointers to.
package final class AllowedStorage: @unchecked Sendable {
    // @unchecked: written in `init` only.
    package let native: UnsafeMutablePointer<handout_allowed>
    package let secrets: UnsafeMutablePointer<handout_secret>
    package let secretCount: Int
    package let recordings: UnsafeMutablePointer<handout_recording>
    package let recordingCount: Int
    private var blocks: [UnsafeMutableRawPointer] = []

    package init(_ allowance: Allowance, secrets given: [Secret], recordings known: [Bundle.Recording]) {
        native = UnsafeMutablePointer<handout_allowed>.allocate(capacity: 1)
        native.initialize(to: handout_allowed())
        secretCount = given.count
        secrets = UnsafeMutablePointer<handout_secret>.allocate(capacity: max(1, given.count))
        recordingCount = known.count
        recordings = UnsafeMutablePointer<handout_recording>.allocate(capacity: max(1, known.count))
        native.pointee.all = allowance.all ? 1 : 0
        native.pointee.reads_run_directory = allowance.readsRunDirectory ? 1 : 0
        native.pointee.writes_run_directory = allowance.writesRunDirectory ? 1 : 0
        native.pointee.exec = list(allowance.entries(.exec))
        native.pointee.read = list(allowance.entries(.read))
        native.pointee.write = list(allowance.entries(.write))
        native.pointee.env = list(allowance.entries(.env))
        native.pointee.host = list(allowance.entries(.host))
        native.pointee.kept = list(allowance.kept)
        for (index, secret) in given.enumerated() {
            secrets[index] = handout_secret(
                name: text(Array(secret.name.utf8)), value: text(secret.value), length: secret.value.count)
        }
        for (index, recording) in known.enumerated() {
            recordings[index] = handout_recording(
                call: text(Array(recording.call.utf8)), argument: text(Array(recording.argument.utf8)),
                result: UnsafeRawPointer(text(recording.result)).assumingMemoryBound(to: UInt8.self),
                length: recording.result.count)
        }
    }

    deinit {
        for block in blocks { block.deallocate() }
        native.deallocate()
        secrets.deallocate()
        recordings.deallocate()
    }

    /// The values of those variables of the environment that tasks ask for and get.
    package static func variables(of plan: Plan, _ allowance: Allowance) -> [[UInt8]] {
        plan.requests.compactMap { request in
            guard request.kind == .env, allowance.allows(.env, request.name), let value = getenv(request.name) else {
                return nil
            }
            return Array(String(cString: value).utf8)
        }
    }

    /// A copy that ends with a NUL.
    private func text(_ bytes: [UInt8]) -> UnsafePointer<CChar> {
        let block = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (index, byte) in bytes.enumerated() { block[index] = CChar(bitPattern: byte) }
        block[bytes.count] = 0
        blocks.append(UnsafeMutableRawPointer(block))
        return UnsafePointer(block)
    }

    private func list(_ names: [String]) -> UnsafePointer<UnsafePointer<CChar>?> {
        let block = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: names.count + 1)
        for (index, name) in names.enumerated() { block[index] = text(Array(name.utf8)) }
        block[names.count] = nil
        blocks.append(UnsafeMutableRawPointer(block))
        return UnsafePointer(block)
    }
}
