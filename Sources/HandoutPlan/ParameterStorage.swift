package import CLuaShim
import LuaRuntime

/// Given parameters in memory that C code may keep pointers to: planning, and every task state of the program.
package final class ParameterStorage: @unchecked Sendable {
    // @unchecked: written in `init` and by planning (`used`) only; task states just read.
    package let base: UnsafeMutablePointer<handout_parameter>
    package let count: Int

    package init(_ parameters: [GivenParameter]) {
        count = parameters.count
        base = UnsafeMutablePointer<handout_parameter>.allocate(capacity: max(1, count))
        for (index, parameter) in parameters.enumerated() {
            let bytes: [UInt8]
            var isValue: Int32 = 0
            switch parameter.value {
            case .text(let text): bytes = text
            case .value(let value):
                bytes = value.bytes
                isValue = 1
            }
            base[index] = handout_parameter(
                name: UnsafePointer(ParameterStorage.copy(Array(parameter.name.utf8))),
                text: UnsafePointer(ParameterStorage.copy(bytes)), length: bytes.count, json: isValue, used: 0)
        }
    }

    deinit {
        for index in 0..<count {
            base[index].name.deallocate()
            base[index].text.deallocate()
        }
        base.deallocate()
    }

    package var unusedNames: [String] {
        (0..<count).filter { base[$0].used == 0 }.map { String(cString: base[$0].name) }
    }

    private static func copy(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar> {
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (index, byte) in bytes.enumerated() { memory[index] = CChar(bitPattern: byte) }
        memory[bytes.count] = 0
        return memory
    }
}
