---@meta handout

-- Annotations for the Lua language server: completion and checks for scripts that require "handout". Nothing runs here.
-- "not yet in this version": the interface is settled, the program refuses or raises it so far. The pure-Lua edition
-- and tests have files, programs, variables and functions of the host already.

---Plain data: nil, booleans, numbers, strings, and tables of these with keys boolean, number or string.
---@alias handout.Data nil|boolean|integer|number|string|table
---An id: letters, digits and `_ - . : @ + = , %`, at most 200 bytes; see `handout.id`.
---@alias handout.Id string
---Bytes, or `"512MiB"`: a decimal number and `B KiB MiB GiB TiB kB MB GB TB`.
---@alias handout.Size integer|number|string
---Seconds, or `"250ms" "90s" "5m" "2h" "1d"`, units descending may be joined: `"1h30m"`.
---@alias handout.Duration number|string
---@alias handout.Ended
---| "error"
---| "result"
---| "timeout"
---| "memory"
---| "crash" # its runner died under it; not yet in this version
---| "lost" # its worker went away; not yet in this version
---| "cancelled"
---@alias handout.Level "debug"|"info"|"warning"|"error"
---@alias handout.Isolation
---| "thread"
---| "process" # not yet in this version
---@alias handout.ParameterType "boolean"|"integer"|"float"|"string"|"list"|"table"
---@alias handout.StrategyName "first-available"|"load-balanced"|"cost"|"time"|"locality"

---A handle, or nested a list or keyed table of entries, which arrives in that shape.
---@alias handout.Needs handout.Handle|handout.Needs[]|table<string, handout.Needs>
---@alias handout.Handles handout.Handle|handout.Handle[]

---What a function of an amount is told of the attempts before.
---@class handout.Attempt
---@field number integer from 1
---@field ended? handout.Ended nil at first
---@field message? string
---@field worker? string
---@field amounts? table<string, number> memory in bytes
---@field counts table<handout.Ended, integer>

---The arguments as by `table.pack`; a value over 64 KiB is nil.
---@class handout.Inputs
---@field n integer
---@field bytes integer[] encoded sizes
---@field [integer] handout.Data

---@alias handout.AmountFunction fun(inputs: handout.Inputs, attempt: handout.Attempt): number
---@alias handout.SizeFunction fun(inputs: handout.Inputs, attempt: handout.Attempt): handout.Size
---@alias handout.DurationFunction fun(inputs: handout.Inputs, attempt: handout.Attempt): handout.Duration
---@alias handout.IntegerFunction fun(inputs: handout.Inputs, attempt: handout.Attempt): integer
---@alias handout.PathsFunction fun(inputs: handout.Inputs, attempt: handout.Attempt): string[]

---@class handout.Backoff
---@field first? handout.Duration default `"1s"`
---@field factor? number default 2
---@field max? handout.Duration default `"5m"`

---What a task asks for; the run must allow it. A folder covers what is beneath.
---@class handout.Grant
---@field read? string[] paths
---@field write? string[] paths
---@field exec? string[] names of programs, as `handout.exec` calls them
---@field env? string[] names of variables
---@field host? string[] names of functions of the embedding program

---One of several sets of amounts; checked, without effect yet.
---@class handout.Variant
---@field cpu? number
---@field memory? handout.Size
---@field gpu? number
---@field resources? table<string, number>
---@field estimate? handout.Duration

---Options that a graph may set for its tasks.
---@class handout.Defaults
---@field cpu? number|handout.AmountFunction cores, default 1
---@field memory? handout.Size|handout.SizeFunction the attempt's limit
---@field gpu? number|handout.AmountFunction default 0; more: checked, without effect yet
---@field resources? table<string, number|handout.AmountFunction> checked, without effect yet
---@field where? table<string, string|string[]> labels of the worker; checked, without effect yet
---@field retries? integer attempts after the first, 0 to 100
---@field backoff? handout.Duration|handout.Backoff pause before a retry
---@field timeout? handout.Duration|handout.DurationFunction run time of one attempt
---@field priority? integer|handout.IntegerFunction higher first
---@field isolation? handout.Isolation
---@field grant? handout.Grant
---@field cache? boolean without effect yet
---@field estimate? handout.Duration|handout.DurationFunction run time on a worker of speed 1

---@class handout.GraphOptions : handout.Defaults
---@field name handout.Id
---@field limits? table<string, number> pools of this run; checked, without effect yet
---@field deadline? handout.Duration from the start, a target for strategies; checked, without effect yet
---@field weight? number above 0, default 1: fair share where runs share workers

---@class handout.TaskOptions : handout.Defaults
---@field needs? handout.Needs data inputs
---@field after? handout.Handles order only
---@field args? handout.Data[] constants after the needs
---@field worker? string only this worker
---@field when? handout.Handles runs only if all are truthy, else it is skipped: absent
---@field unless? handout.Handles runs only if all are nil or false
---@field always? boolean runs however its inputs ended; failed ones are absent
---@field variants? handout.Variant[] checked, without effect yet
---@field near? handout.Handle prefers the worker that holds this result; no dependency
---@field inline? boolean computed in each consumer; only with `needs over after args arity when unless`
---@field optional? boolean its failure makes it absent, not the run failed
---@field recover? fun(err: handout.Failure, ...: handout.Data): handout.Data after the last attempt: a substitute
---@field reads? string[]|handout.PathsFunction files read; checked, without effect yet
---@field writes? string[]|handout.PathsFunction files made; checked, without effect yet

---@class handout.MapOptions : handout.TaskOptions
---@field over handout.Handle|handout.Data[]|table<string, handout.Data> one instance an element

---@class handout.ReduceOptions : handout.TaskOptions
---@field over handout.Handle|handout.Data[]|table<string, handout.Data>
---@field arity? integer size of a group, at least 2, default 8

---Of a map over a graph.
---@class handout.GraphMapOptions
---@field over handout.Handle|handout.Data[]|table<string, handout.Data>
---@field needs? handout.Needs
---@field after? handout.Handles
---@field when? handout.Handles
---@field unless? handout.Handles
---@field optional? boolean

---@class handout.IncludeOptions
---@field when? handout.Handles its tasks run only if all are truthy
---@field unless? handout.Handles
---@field after? handout.Handles

---How a task failed.
---@class handout.Failure
---@field kind handout.Ended
---@field message string
---@field task string full name
---@field attempt integer
---@field worker string
---@field file? string
---@field line? integer
---@field value? handout.Data the raised table; of `recover` only
---@field optional? boolean

---Stands for a value that is not there while planning.
---@class handout.Handle
---@field id string
local Handle = {}

---The element `key` of the handle's value; without key, in a map: this instance's own; a function, in a map: the key or
---keys it returns. Only what is picked is depended on.
---@overload fun(self: handout.Handle): handout.Handle
---@overload fun(self: handout.Handle, pick: fun(element: any, key: integer|string): any): handout.Handle
---@param key string|integer
---@return handout.Handle
function Handle:at(key) end

---@class handout.Graph
local Graph = {}

---Declares a task: `fn(…needs, …args)`. What it returns is its result.
---@overload fun(self: handout.Graph, id: handout.Id, fn: fun(...: any): any): handout.Handle
---@param id handout.Id
---@param options? handout.TaskOptions
---@param fn fun(...: any): any
---@return handout.Handle
function Graph:task(id, options, fn) end

---Declares one instance an element of `over`: `fn(element, key, …needs, …args)`. Its value is a list, or a table by
---the same keys. Over a graph: one instance of it an element, its inputs filled from named `needs`, then from element,
---key and positional `needs`.
---@overload fun(self: handout.Graph, id: string, o: handout.GraphMapOptions, g: handout.Graph): handout.Handle
---@param id handout.Id
---@param options handout.MapOptions
---@param fn fun(element: any, key: integer|string, ...: any): any
---@return handout.Handle
function Graph:map(id, options, fn) end

---Declares a tree reduction: `fn(list, …needs, …args)`, whose results are its inputs again.
---@param id handout.Id
---@param options handout.ReduceOptions
---@param fn fun(list: any[], ...: any): any
---@return handout.Handle
function Graph:reduce(id, options, fn) end

---Declares a task whose value is made boolean.
---@param id handout.Id
---@param options handout.TaskOptions
---@param predicate fun(...: any): any
---@return handout.Handle
function Graph:when(id, options, predicate) end

---Declares an input, bound by `include`, by a map over the graph, or by `--input name=JSON`.
---@param name handout.Id
---@param default? handout.Data
---@return handout.Handle
function Graph:input(name, default) end

---Makes an instance of another graph; returns handles by output name. The other graph is complete from here on.
---@overload fun(self: handout.Graph, g: handout.Graph, inputs?: table, o?: handout.IncludeOptions): table
---@param id handout.Id
---@param other handout.Graph
---@param inputs? table<string, handout.Handle|handout.Data>
---@param options? handout.IncludeOptions
---@return table<string, handout.Handle>
function Graph:include(id, other, inputs, options) end

---Names an output. Without any: the tasks that nothing refers to.
---@param name handout.Id
---@param handle handout.Handle
function Graph:output(name, handle) end

---Sets the strategy of the run. Checked, without effect in this version.
---@overload fun(self: handout.Graph, strategy: handout.Strategy|function)
---@param name handout.StrategyName
---@param options? table<string, any>
function Graph:allocator(name, options) end

---What a parameter is.
---@class handout.ParameterOptions
---@field name handout.Id
---@field default? handout.Data without it the parameter is required
---@field type? handout.ParameterType
---@field help? string
---@field choices? handout.Data[]

---@class handout.json
local json = {}

---The JSON text of plain data.
---@param value handout.Data
---@return string
function json.encode(value) end

---The value of a JSON text: null is absent in objects, `false` in arrays.
---@param text string
---@return any
function json.decode(text) end

---What a task knows about itself.
---@class handout.Task
---@field id string full name
---@field name string declared id
---@field key? integer|string in a map
---@field attempt integer from 1
---@field retries_left integer
---@field run string
---@field worker string
---@field variant integer from 1
---@field amounts table<string, number>
---@field indices table<string, any[]>
---@field missing table<integer|string, "skipped"|"failed">
---@field deadline? number seconds of run time left
---@field scratch string a folder of this attempt

---@class handout.ReadOptions
---@field offset? integer default 0
---@field length? integer

---@class handout.FileRange
---@field path string
---@field offset integer
---@field length integer

---@class handout.FileStatus
---@field kind "file"|"directory"|"other"
---@field size integer bytes
---@field mtime number seconds since 1970

---Files, by `grant.read` and `grant.write`. Failures raise.
---@class handout.fs
local fs = {}

---The bytes of a file, or of a part of it.
---@param path string
---@param options? handout.ReadOptions
---@return string
function fs.read(path, options) end

---The lines of a file without their ends; with `chunk`: strings of so many lines each, with them.
---@param path string
---@param options? { chunk: integer? }
---@return string[]
function fs.lines(path, options) end

---Writes a file whole or not at all.
---@param path string
---@param data string
function fs.write(path, data) end

---Writes at the end of a file, which is made when it is not there.
---@param path string
---@param data string
function fs.append(path, data) end

---Parts of a file of about so many bytes, default 64 MiB, cut at line ends.
---@param path string
---@param options? { bytes: handout.Size? }
---@return handout.FileRange[]
function fs.ranges(path, options) end

---Paths that match, sorted bytewise: `* ? [a-z] **`.
---@param pattern string
---@return string[]
function fs.glob(pattern) end

---Sorted names of what a folder holds.
---@param folder string
---@return string[]
function fs.list(folder) end

---What lies at a path.
---@param path string
---@return handout.FileStatus? status nil when there is nothing
function fs.stat(path) end

---Whether something lies at a path.
---@param path string
---@return boolean
function fs.exists(path) end

---Makes a folder, with parents.
---@param path string
function fs.mkdir(path) end

---Removes a file, or an empty folder.
---@param path string
function fs.remove(path) end

---Moves a file or folder.
---@param from string
---@param to string
function fs.rename(from, to) end

---Copies a file.
---@param from string
---@param to string
function fs.copy(from, to) end

---SHA-256 of a file, hexadecimal.
---@param path string
---@return string
function fs.hash(path) end

---A program's arguments, and how to run it; tables of arguments instead: a pipeline.
---@class handout.Command
---@field [integer] string|number|(string|number)[]
---@field stdin? string what it reads, default nothing
---@field stdin_file? string a path, instead of `stdin`
---@field stdout? string a path, else captured
---@field stderr? string a path, else captured
---@field env? table<string, string> variables besides those that every program gets
---@field cwd? string default: the run directory
---@field timeout? handout.Duration
---@field check? boolean a code other than 0 raises, default true

---@class handout.CommandResult
---@field code integer 128 and the signal where one ended it
---@field signal? integer
---@field stdout? string nil when it went to a file
---@field stderr? string nil when it went to a file
---@field seconds number
---@field codes? integer[] of a pipeline

---@alias handout.EventKind
---| "run_started" # name, seed
---| "run_paused"
---| "run_resumed"
---| "run_finished" # ok, seconds
---| "map_expanded" # task, count
---| "task_ready"
---| "task_started" # worker, variant, amounts
---| "task_progressed" # fraction, text; not sent to strategies
---| "task_logged" # level, text; not sent to strategies
---| "task_finished" # worker, seconds, bytes
---| "task_cached" # bytes
---| "task_failed" # worker, ended, message, file, line, final, retry_after
---| "task_skipped" # reason
---| "worker_joined" # worker, total, labels, price, speed
---| "worker_changed" # the same, new values
---| "worker_lost" # worker
---| "worker_left" # worker
---| "warning" # code, message, file, line

---An event of a run. All have `seq`, `time`, `run` and `kind`, those of tasks `task`, and `attempt` where one is meant.
---@class handout.Event
---@field seq integer
---@field time number seconds since the start
---@field run string
---@field kind handout.EventKind
---@field task? string
---@field attempt? integer
---@field name? string
---@field seed? integer
---@field ok? boolean
---@field seconds? number
---@field count? integer
---@field worker? string
---@field variant? integer
---@field amounts? table<string, number>
---@field fraction? number
---@field text? string
---@field level? handout.Level
---@field bytes? integer
---@field ended? handout.Ended
---@field message? string
---@field file? string
---@field line? integer
---@field final? boolean
---@field retry_after? number
---@field reason? "when"|"upstream"|"cancelled"
---@field total? table<string, number>
---@field labels? table<string, string>
---@field price? number
---@field speed? number
---@field code? string
---@field [string] any

---A task as a strategy sees it: read-only, valid during the call. Memory in bytes, times in seconds, nil: not known.
---Not yet in this version.
---@class handout.TaskView
---@field id string
---@field name string declared id
---@field key? integer|string in a map
---@field attempt integer
---@field priority integer
---@field amounts table<string, number> of the first variant that fits
---@field variants table<string, number>[]
---@field where? table<string, any>
---@field near? string[] ids
---@field estimate? number
---@field rank number estimated seconds from its start to the run's end on the longest path, at speed 1
---@field input_bytes integer
---@field consumers integer how many tasks need it
---@field waited number
---@field retries_left integer
---@field class handout.ClassView

---Tasks that are alike to a strategy. Not yet in this version.
---@class handout.ClassView
---@field count integer
---@field name string
---@field priority integer
---@field amounts table<string, number>
---@field variants table<string, number>[]
---@field where? table<string, any>
---@field near? string[]
---@field estimate? number
---@field rank number
---@field consumers integer
---@field retries_left integer
local ClassView = {}

---At most n tasks of the class; each is given once a round.
---@param n integer
---@return fun(): handout.TaskView?
function ClassView:take(n) end

---What is ready, by priority. Not yet in this version.
---@class handout.ReadyView
---@field [integer] handout.TaskView
local ReadyView = {}

---The classes of what is ready.
---@return fun(): handout.ClassView?
function ReadyView:classes() end

---A worker as a strategy sees it. Not yet in this version.
---@class handout.WorkerView
---@field id string
---@field labels table<string, string>
---@field total table<string, number> by resource, pools of the cluster included
---@field free table<string, number>
---@field running integer attempts
---@field price number per hour, default 0
---@field speed number default 1
---@field remaining? number life left
---@field idle number 0 when busy
---@field bandwidth? number bytes a second
---@field lost integer times
local WorkerView = {}

---How many fit now.
---@param what handout.TaskView|handout.ClassView
---@return integer
function WorkerView:fits(what) end

---Bytes of its inputs there.
---@param task handout.TaskView
---@return integer
function WorkerView:has(task) end

---The workers in order of joining. Not yet in this version.
---@class handout.WorkersView
---@field [integer] handout.WorkerView
local WorkersView = {}

---The worker of that id.
---@param id string
---@return handout.WorkerView?
function WorkersView:get(id) end

---@class handout.Context
---@field now number since the run's start
---@field deadline? number
---@field run string
---@field spent number price so far
---@field seed integer
---@field options table<string, any> the defaults, then what was given; durations as seconds, sizes as bytes

---@class handout.Placement
---@field task handout.TaskView|string
---@field worker handout.WorkerView|string
---@field variant? integer

---@alias handout.Wait { wait: handout.Duration }
---@alias handout.Allocate
---| fun(r: handout.ReadyView, w: handout.WorkersView, c: handout.Context): handout.Placement[], handout.Wait?

---Either `filter` and `score`, or `allocate`. Not yet in this version.
---@class handout.Strategy
---@field name? string
---@field options? table<string, any> defaults of what `--allocator NAME,key=value` gives
---@field per_task? boolean score each task, not only the next of its class
---@field budget? handout.Duration for one call, such as `"50ms"`
---@field filter? fun(task: handout.TaskView, worker: handout.WorkerView): boolean, string?
---@field score? fun(task: handout.TaskView, worker: handout.WorkerView): number higher is better, default 0
---@field allocate? handout.Allocate
---@field on_event? fun(event: handout.Event): boolean? true: ask again what was scored

---A worker of a cluster file. Not yet in this version.
---@class handout.Worker
---@field name handout.Id
---@field count? integer default 1; above: `name-1` and so on
---@field cpu? number default 1
---@field memory? handout.Size default none
---@field gpu? integer|(integer|string)[] how many, or their indices; default 0
---@field resources? table<string, number|(integer|string)[]> amounts, or names of indices
---@field price? number|{ [1]: handout.Duration, [2]: number }[] per hour; in the simulator also by time
---@field speed? number run time = estimate / speed; default 1
---@field labels? table<string, string>
---@field lifetime? handout.Duration after joining
---@field joins? handout.Duration default 0
---@field trackers? string a tracker file

---An ordered pair of workers, `"*"` any; the last that matches wins.
---@class handout.Link
---@field from string
---@field to string
---@field bandwidth? string|integer such as `"100MB/s"`; default the network's
---@field latency? handout.Duration|string also `"200us"`; default the network's

---@class handout.Network
---@field bandwidth? string|integer such as `"1GB/s"`; default no limit
---@field latency? handout.Duration|string default 0
---@field links? handout.Link[]

---@class handout.Cluster
---@field [integer] handout.Worker
---@field shared? table<string, number> pools of the whole cluster
---@field network? handout.Network

---@class handout.Claim
---@field task string
---@field attempt integer
---@field amounts table<string, number>

---What `probe` is told.
---@class handout.TrackerState
---@field claimed table<string, number>
---@field worker string
---@field now number

---Reports resources. Not yet in this version.
---@class handout.Tracker
---@field name handout.Id
---@field provides? string[] names of resources
---@field scope? "worker"|"cluster" default `"worker"`
---@field every? handout.Duration default `"30s"`, least 1 s
---@field grant? handout.Grant must be allowed by the worker
---@field register? fun(): table<string, number> once; default: the first probe
---@field probe? fun(state: handout.TrackerState): table?, string? totals, `price`, `labels`; or nil and a reason
---@field request? fun(claim: handout.Claim): boolean?, string? before an attempt holds some; false: it waits
---@field release? fun(claim: handout.Claim) afterwards

---@class handout
---@field version string of this interface, `"1.0"`
---@field api integer 1
---@field task handout.Task inside a task
---@field json handout.json
---@field fs handout.fs
---@field host table<string, fun(...: handout.Data): any> by `grant.host`: functions of the embedding program
local handout = {}

---Makes a graph; the script returns one.
---@param options handout.Id|handout.GraphOptions
---@return handout.Graph
function handout.graph(options) end

---The value of a parameter. The default's type is its type; without default it is a required string.
---@generic T
---@overload fun(options: handout.ParameterOptions): any
---@overload fun(name: handout.Id): string
---@param name handout.Id
---@param default T
---@param help? string
---@return T
function handout.param(name, default, help) end

---Bytes of a size.
---@param size handout.Size
---@return integer
function handout.bytes(size) end

---Seconds of a duration.
---@param duration handout.Duration
---@return number
function handout.seconds(duration) end

---A string percent-encoded so that it is an id.
---@param text string
---@return handout.Id
function handout.id(text) end

---Key and value of a table: numbers ascending, strings bytewise, booleans.
---@generic K, V
---@param t table<K, V>
---@return fun(): K, V
function handout.sorted(t) end

---While planning: paths beneath the run directory, sorted bytewise: `* ? [a-z] **`.
---@param pattern string
---@return string[]
function handout.glob(pattern) end

---While planning: the bytes of a file beneath the run directory, at most 16 MiB.
---@param path string
---@return string
function handout.read(path) end

---Inside a task: reports progress, 0 to 1.
---@param fraction number
---@param text? string
function handout.progress(fraction, text) end

---Inside a task: a line of its log, by `string.format`.
---@param level handout.Level
---@param format string
---@param ... any
function handout.log(level, format, ...) end

---Inside a task: raises; not retried.
---@param message string
function handout.fail(message) end

---Inside a task: raises; retried while retries last.
---@param message string
---@param options? { after: handout.Duration?, ended: ("error"|"memory"|"timeout")? }
function handout.retry(message, options) end

---Inside a task: notes files that were read. Not yet in this version.
---@param paths string[]
function handout.reads(paths) end

---Inside a task: a variable of the environment, by `grant.env`; nil when it is not set.
---@param name string
---@return string?
function handout.env(name) end

---Inside a task: runs a program or a pipeline, by `grant.exec`.
---@param command handout.Command
---@return handout.CommandResult
function handout.exec(command) end

---A strategy, returned by its file. Not yet in this version.
---@generic T : handout.StrategyName|handout.Strategy|function
---@param strategy T
---@param options? table<string, any> of one that is built in
---@return T
function handout.allocator(strategy, options) end

---Workers, returned by a cluster file. Not yet in this version.
---@param cluster handout.Cluster
---@return handout.Cluster
function handout.cluster(cluster) end

---A tracker, or a list of them, returned by its file. Not yet in this version.
---@generic T : handout.Tracker|handout.Tracker[]
---@param tracker T
---@return T
function handout.tracker(tracker) end

return handout
