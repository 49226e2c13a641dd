import CLuaShim
import HandoutCore

/// The graphs of a plan as C reads them.
struct NativeTemplates {
    let templates: Column<handout_plan_template>
    let inputs: Column<UInt32>
    /// Names are positions in the plan's names: those of outputs follow those of tasks.
    let outputs: Column<handout_plan_output>

    init(_ graph: GraphColumns) {
        var templates: [handout_plan_template] = []
        var inputs: [UInt32] = []
        var outputs: [handout_plan_output] = []
        for template in graph.templates {
            templates.append(
                handout_plan_template(
                    first: UInt32(template.rows.lowerBound), count: UInt32(template.rows.count),
                    input_first: UInt32(inputs.count), input_count: UInt32(template.inputs.count),
                    output_first: UInt32(outputs.count), output_count: UInt32(template.outputs.count)))
            inputs += template.inputs.map(\.rawValue)
            outputs += template.outputs.map { output in
                handout_plan_output(
                    name_offset: UInt32(output.nameOffset), name_length: UInt32(output.name.utf8.count),
                    task: output.task.rawValue)
            }
        }
        self.templates = Column(templates)
        self.inputs = Column(inputs)
        self.outputs = Column(outputs)
    }
}
