/* The run of a script, and the plan that it leaves. */
#include "graph.h"
#include "sandbox.h"
#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

/* ---- Planning ---- */

int handout_recorder_init(handout_recorder *recorder, handout_state *state, const handout_host *host) {
    memset(recorder, 0, sizeof *recorder);
    recorder->state = state;
    recorder->host = host;
    recorder->wanted = HANDOUT_NONE;
    recorder->returned_graph = HANDOUT_NONE;
    recorder->graphs.size = sizeof(handout_graph_record);
    recorder->classes.size = sizeof(handout_class_record);
    recorder->sources.size = sizeof(handout_source);
    recorder->option_sets.size = sizeof(handout_option_set);
    recorder->pool.size = sizeof(uint64_t);
    recorder->pool_bytes.size = 1;
    recorder->errors.size = sizeof(handout_plan_error);
    recorder->declared.size = sizeof(char *);
    recorder->ats.size = sizeof(handout_at);
    recorder->words.size = sizeof(uint32_t);
    recorder->met.size = recorder->met_variables.size = 24;
    recorder->code.size = 1;
    recorder->known_parameters.size = sizeof(handout_plan_parameter);
    recorder->recordings.size = sizeof(handout_recording);
    return 0;
}

static void graph_record_free(handout_graph_record *graph) {
    handout_vector *vectors[] = {&graph->kinds, &graph->options, &graph->lines, &graph->classes, &graph->capture_offsets,
                                 &graph->captures, &graph->name_offsets, &graph->names, &graph->reference_offsets,
                                 &graph->references, &graph->outputs, &graph->inputs, &graph->parts,
                                 &graph->included, &graph->given};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) free(vectors[i]->data);
    free(graph->name);
    free(graph->id_table);
}

void handout_recorder_free(handout_recorder *recorder) {
    for (size_t i = 0; i < recorder->graphs.count; i++) graph_record_free((handout_graph_record *)recorder->graphs.data + i);
    for (size_t i = 0; i < recorder->classes.count; i++) {
        handout_class_record *record = (handout_class_record *)recorder->classes.data + i;
        free(record->dump);
        free(record->names);
        free(record->ids);
        free(record->pools);
    }
    for (size_t i = 0; i < recorder->sources.count; i++) free(((handout_source *)recorder->sources.data)[i].name);
    for (size_t i = 0; i < recorder->declared.count; i++) free(((char **)recorder->declared.data)[i]);
    free(recorder->graphs.data);
    free(recorder->classes.data);
    free(recorder->sources.data);
    free(recorder->option_sets.data);
    free(recorder->pool.data);
    free(recorder->pool_bytes.data);
    free(recorder->declared.data);
    free(recorder->met.data);
    free(recorder->met_variables.data);
    free(recorder->code.data);
    free(recorder->ats.data);
    free(recorder->words.data);
    for (size_t i = 0; i < recorder->checked.count; i++) free(((handout_checked *)recorder->checked.data)[i].problem);
    free(recorder->checked.data);
    free(recorder->interned.data);
    handout_buffer_free(&recorder->declaration);
    for (size_t i = 0; i < recorder->known_parameters.count; i++) {
        handout_plan_parameter *parameter = (handout_plan_parameter *)recorder->known_parameters.data + i;
        free(parameter->name);
        free(parameter->help);
        handout_buffer_free(&parameter->value);
        handout_buffer_free(&parameter->declaration);
    }
    free(recorder->known_parameters.data);
    handout_free_recordings((handout_recording *)recorder->recordings.data, recorder->recordings.count);
    for (size_t i = 0; i < recorder->errors.count; i++) {
        handout_plan_error *error = (handout_plan_error *)recorder->errors.data + i;
        free(error->message);
        free(error->file);
    }
    free(recorder->errors.data);
    free(recorder->class_table);
    free(recorder->identities);
}

typedef struct planning {
    const handout_plan_config *config;
    handout_recorder *recorder;
    handout_plan *plan;
} planning;

static void check_returned(lua_State *L, handout_recorder *recorder) {
    handout_graph_object *graph = handout_to_graph(L, -1);
    if (graph) {
        recorder->returned_graph = graph->index;
        return;
    }
    char what[100];
    handout_describe(L, -1, what, sizeof what);
    handout_refuse(L, recorder, "script", "the script returned %s, expected a graph (end it with: return g)", what);
}

/* Runs in one protected call: libraries, script, what closures captured. */
static int plan_protected(lua_State *L) {
    planning *now = lua_touserdata(L, 1);
    const handout_plan_config *config = now->config;
    handout_recorder_open(L, now->recorder);
    handout_use_planning_libraries(handout_of(L), 1);
    handout_open_globals(handout_of(L), 1);
    handout_recorder_load(L, now->recorder, config->source, config->source_length, config->chunk_name);
    lua_call(L, 0, 1);
    check_returned(L, now->recorder);
    handout_bind_inputs(L, now->recorder);
    handout_read_held(L, now->recorder);
    handout_finish_outputs(L, now->recorder);
    now->plan->user_globals = handout_user_globals(handout_of(L));
    return 0;
}

int handout_script_message(lua_State *L) {
    handout_state *state = handout_of(L);
    handout_traceback(L, state->traceback, sizeof state->traceback, 1);
    if (lua_type(L, 1) == LUA_TSTRING) return 1;
    char what[200];
    if (handout_to_raised(L, 1)) {
        lua_getiuservalue(L, 1, 1);
        return 1;
    }
    handout_describe(L, 1, what, sizeof what);
    if (lua_type(L, 1) == LUA_TTABLE) {
        lua_pushliteral(L, "message");
        if (lua_rawget(L, 1) == LUA_TSTRING) return 1;
    }
    lua_pushfstring(L, "raised %s", what);
    return 1;
}

int handout_first_place(const char *traceback, char *file, size_t size, uint32_t *line) {
    for (const char *p = traceback; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        const char *end = strchr(p, '\n'), *in = strstr(p, ": in ");
        if (!in || (end && in > end) || *p == '[') continue; /* a C function, or no frame */
        const char *colon = in;
        while (colon > p && *colon != ':') colon--;
        for (colon = in - 1; colon > p && *colon != ':'; colon--) {}
        unsigned number;
        if (colon <= p || sscanf(colon + 1, "%u", &number) != 1 || (size_t)(colon - p) >= size) continue;
        memcpy(file, p, (size_t)(colon - p));
        file[colon - p] = 0;
        *line = number;
        return 1;
    }
    return 0;
}

void handout_add_script_error(handout_recorder *recorder, const char *code, const char *text, size_t length,
                              const char *chunk_name) {
    handout_plan_error *error = handout_vector_add(&recorder->errors);
    if (!error) return;
    *error = (handout_plan_error){.code = code};
    const char *file = chunk_name + 1;
    for (size_t i = 0; i <= recorder->sources.count; i++) {
        if (i < recorder->sources.count) file = ((handout_source *)recorder->sources.data)[i].name + 1;
        else break;
        size_t n = strlen(file);
        unsigned line;
        int used = 0;
        if (length > n + 1 && strncmp(text, file, n) == 0 && text[n] == ':' && sscanf(text + n + 1, "%u: %n", &line, &used) == 1 && used) {
            error->file = strdup(file);
            error->line = line;
            text += n + 1 + used;
            length -= n + 1 + (size_t)used;
            break;
        }
    }
    char place[300];
    if (!error->file && handout_first_place(recorder->state->traceback, place, sizeof place, &error->line))
        error->file = strdup(place);
    if (!error->file) error->file = strdup(chunk_name + 1);
    char shown[1200];
    handout_escape(text, length, 1000, shown, sizeof shown);
    error->message = strdup(shown);
}

static void *take(handout_vector *vector) {
    void *data = realloc(vector->data, vector->count * vector->size + 1); /* give back what was room to grow */
    if (!data) data = vector->data;
    vector->data = NULL;
    return data ? data : calloc(1, 1);
}

static void *take_offsets(handout_vector *vector, size_t end) {
    uint32_t *last = handout_vector_add(vector);
    if (last) *last = (uint32_t)end;
    return take(vector);
}

static void fill_classes(handout_plan *plan, handout_recorder *recorder) {
    plan->class_count = (uint32_t)recorder->classes.count;
    plan->class_list = calloc(plan->class_count + 1u, sizeof *plan->class_list);
    plan->class_names = calloc(plan->class_count + 1u, sizeof *plan->class_names);
    for (uint32_t i = 0; plan->class_list && plan->class_names && i < plan->class_count; i++) {
        handout_class_record *record = (handout_class_record *)recorder->classes.data + i;
        plan->class_list[i] = record->public;
        plan->class_names[i] = record->names;
        record->names = NULL;
    }
    plan->source_count = (uint32_t)recorder->sources.count;
    plan->sources = calloc(plan->source_count + 1u, sizeof *plan->sources);
    for (uint32_t i = 0; plan->sources && i < plan->source_count; i++) {
        const char *name = ((handout_source *)recorder->sources.data)[i].name;
        char shown[300];
        handout_escape(name, strlen(name), 200, shown + 6, sizeof shown - 6);
        memcpy(shown, "load: ", 6); /* no file can have this name: load never makes a name with "@" */
        plan->sources[i] = strdup(name[0] == '@' ? name + 1 : shown);
    }
}

/* The names of outputs follow the names of tasks in one buffer. */
static void fill_outputs(handout_plan *plan, handout_recorder *recorder, handout_graph_record *graph) {
    plan->output_count = (uint32_t)graph->outputs.count;
    handout_plan_output *outputs = (handout_plan_output *)graph->outputs.data;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        char *to = handout_vector_add_many(&graph->names, outputs[i].name_length);
        if (!to) return;
        memcpy(to, ((char **)recorder->declared.data)[outputs[i].name_offset], outputs[i].name_length);
        outputs[i].name_offset = (uint32_t)(graph->names.count - outputs[i].name_length);
    }
    plan->outputs = take(&graph->outputs);
}

/* Where the names of rows end: those of outputs follow. */
static size_t names_end(const handout_plan *plan, const handout_graph_record *graph) {
    size_t end = graph->names.count;
    for (uint32_t i = 0; i < plan->template_output_count; i++) end -= plan->template_outputs[i].name_length;
    return end;
}

/* Limits, deadline and weight. Limits of included graphs hold for the whole run, where the returned one has no such. */
static void fill_limits(handout_plan *plan, handout_recorder *recorder) {
    const handout_graph_record *top = handout_graph_at(recorder, recorder->returned_graph);
    plan->deadline = top->deadline;
    plan->weight = top->weight;
    plan->limits = malloc((recorder->graphs.count + 1) * sizeof *plan->limits);
    if (!plan->limits) return;
    if (top->limits != HANDOUT_NONE) plan->limits[plan->limit_count++] = top->limits;
    for (uint32_t i = 0; i < recorder->graphs.count; i++) {
        uint32_t limits = handout_graph_at(recorder, i)->limits;
        if (i != recorder->returned_graph && limits != HANDOUT_NONE) plan->limits[plan->limit_count++] = limits;
    }
}

static void fill_allocator(handout_plan *plan, const handout_graph_record *graph) {
    plan->allocator = graph->strategy.kind;
    plan->allocator_place = graph->allocator;
    plan->allocator_name = graph->strategy.name;
    plan->allocator_option = graph->strategy.option;
    plan->allocator_duration = graph->strategy.duration;
}

static void fill_columns(handout_plan *plan, handout_recorder *recorder) {
    handout_graph_record *graph = handout_graph_at(recorder, recorder->returned_graph);
    handout_drop_unfinished(graph);
    size_t names = graph->names.count;
    fill_limits(plan, recorder);
    handout_fill_graphs(plan, recorder);
    graph = handout_graph_at(recorder, recorder->returned_graph);
    names = plan->template_count > 1 ? names_end(plan, graph) : names;
    fill_allocator(plan, graph);
    plan->name = strdup(graph->name);
    plan->name_length = graph->name_length;
    plan->count = graph->count;
    free(graph->id_table);
    graph->id_table = NULL;
    plan->kinds = take(&graph->kinds);
    plan->options = take(&graph->options);
    plan->lines = take(&graph->lines);
    plan->classes = take(&graph->classes);
    plan->capture_offsets = take_offsets(&graph->capture_offsets, graph->captures.count);
    plan->captures = take(&graph->captures);
    plan->name_offsets = take_offsets(&graph->name_offsets, names);
    fill_outputs(plan, recorder, graph);
    plan->name_bytes_length = graph->names.count;
    plan->name_bytes = take(&graph->names);
    plan->reference_offsets = take_offsets(&graph->reference_offsets, graph->references.count);
    plan->references = take(&graph->references);
    plan->option_set_count = (uint32_t)recorder->option_sets.count;
    plan->option_sets = take(&recorder->option_sets);
    plan->pool_count = (uint32_t)recorder->pool.count;
    plan->pool = take(&recorder->pool);
    plan->pool_bytes_length = recorder->pool_bytes.count;
    plan->pool_bytes = take(&recorder->pool_bytes);
    plan->code_length = recorder->code.count;
    plan->code = take(&recorder->code);
}

static uint64_t cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What a limit said, in words. */
static void add_limit_error(handout_recorder *recorder, handout_state *state, const handout_plan_config *config, int ended) {
    char text[300];
    if (ended == HANDOUT_TIMEOUT)
        snprintf(text, sizeof text, "planning took longer than %g s of CPU time (--plan-time sets it)", (double)config->time / 1e9);
    else if (ended == HANDOUT_MEMORY)
        snprintf(text, sizeof text, "planning needed more than %g MiB of memory (--plan-memory sets it)",
                 (double)config->memory / 1048576);
    else snprintf(text, sizeof text, "planning was interrupted");
    handout_add_script_error(recorder, ended == HANDOUT_TIMEOUT ? "timeout" : ended == HANDOUT_MEMORY ? "memory" : "cancelled", text,
                     strlen(text), config->chunk_name);
}

handout_plan *handout_plan_run(const handout_plan_config *config) {
    handout_plan *plan = calloc(1, sizeof *plan);
    handout_recorder *recorder = malloc(sizeof *recorder);
    handout_state *state = handout_state_new(config->memory, config->host, config->slot);
    uint64_t begun = cpu_now();
    if (!plan || !recorder || !state) {
        free(recorder);
        handout_state_free(state);
        if (plan) plan->ended = HANDOUT_MEMORY;
        return plan;
    }
    handout_recorder_init(recorder, state, config->host);
    recorder->parameters = config->parameters;
    recorder->parameter_count = config->parameter_count;
    recorder->run_directory = config->run_directory;
    recorder->inputs = config->inputs;
    recorder->input_count = config->input_count;
    state->planning = 1;
    state->random_seed = config->seed;
    planning now = {config, recorder, plan};
    int reason = setjmp(state->entry);
    if (reason == 0) {
        handout_enter(state);
        if (config->slot && config->time) handout_deadline_begin(config->slot, state, config->time);
        lua_State *L = state->L;
        /* On the main thread a full stack raises before anything is protected: 40 slots are always there. */
        lua_pushcfunction(L, handout_script_message);
        lua_pushcfunction(L, plan_protected);
        lua_pushlightuserdata(L, &now);
        int status = lua_pcall(L, 1, 0, 1);
        if (status != LUA_OK) {
            size_t length;
            const char *text = lua_tolstring(L, -1, &length);
            plan->ended = HANDOUT_ERROR;
            handout_add_script_error(recorder, recorder->bad_syntax ? "syntax" : "script", text ? text : "error", text ? length : 5,
                             config->chunk_name);
        }
    } else {
        plan->ended = reason;
        add_limit_error(recorder, state, config, reason);
    }
    if (config->slot && config->time) handout_deadline_end(config->slot);
    handout_exit(state);
    plan->peak_memory = state->peak;
    handout_state_free(state);
    if (plan->ended == HANDOUT_OK && recorder->errors.count == 0 && recorder->returned_graph != HANDOUT_NONE) fill_columns(plan, recorder);
    fill_classes(plan, recorder);
    plan->error_count = (uint32_t)recorder->errors.count;
    plan->errors_left_out = recorder->errors_left_out;
    plan->errors = take(&recorder->errors);
    plan->parameter_count = (uint32_t)recorder->known_parameters.count;
    plan->parameters = take(&recorder->known_parameters);
    plan->recording_count = (uint32_t)recorder->recordings.count;
    plan->recordings = take(&recorder->recordings);
    recorder->recordings.count = 0;
    recorder->known_parameters.count = 0;
    recorder->errors.count = 0;
    handout_recorder_free(recorder);
    free(recorder);
    plan->cpu_nanoseconds = cpu_now() - begun;
    return plan;
}

void handout_plan_free(handout_plan *plan) {
    if (!plan) return;
    for (uint32_t i = 0; i < plan->error_count; i++) free(plan->errors[i].message), free(plan->errors[i].file);
    for (uint32_t i = 0; i < plan->parameter_count; i++) {
        free(plan->parameters[i].name);
        free(plan->parameters[i].help);
        handout_buffer_free(&plan->parameters[i].value);
        handout_buffer_free(&plan->parameters[i].declaration);
    }
    handout_free_recordings(plan->recordings, plan->recording_count);
    for (uint32_t i = 0; i < plan->source_count; i++) free(plan->sources[i]);
    for (uint32_t i = 0; plan->class_names && i < plan->class_count; i++) free(plan->class_names[i]);
    void *columns[] = {plan->name, plan->limits, plan->kinds, plan->options, plan->lines, plan->classes, plan->capture_offsets,
                       plan->captures, plan->name_offsets, plan->name_bytes, plan->reference_offsets, plan->references,
                       plan->option_sets, plan->class_list, plan->pool, plan->pool_bytes,
                       plan->outputs, plan->templates, plan->template_inputs, plan->template_outputs,
                       plan->parameters, plan->errors, plan->sources, plan->class_names, plan->code, plan};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) free(columns[i]);
}
