//! What stands below the flags in `--help`: examples, exit codes, environment.

/// Below `taskcell --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  taskcell new word-count && cd word-count && taskcell build
  taskcell inspect word-count.wasm
  taskcell run word-count.wasm --set text='to be or not to be'
  taskcell run digest.wasm --dir docs::/docs --signal approval=true
  taskcell run crunch.wasm spin --fuel 2G --timeout 30s
  taskcell serve, and in another terminal: taskcell plugin add digest.wasm, taskcell start digest, taskcell list

The exit codes of `taskcell run` are listed in `taskcell run --help`.";

/// Below `taskcell run --help`.
pub(super) const RUN_HELP: &str = "\
Examples:
  taskcell run hello.wasm --set name=Ada
  taskcell run digest.wasm --dir docs::/docs --artifacts reports
  taskcell run deploy.wasm --approve deploy --deny delete='not from here'
  taskcell run pipeline.wasm build --dir docs::/docs --tree
  taskcell run two-tasks.wasm second --input @input.json --json
  taskcell run report.wasm --at 18:30 --retries 3 --title 'the evening report'
  taskcell run crunch.wasm --data ./data && taskcell serve --data ./data
  echo '{\"name\": \"Ada\"}' | taskcell run hello.wasm --input -

The result is written to stdout as JSON, everything else to stderr. When the task waits for a signal and there is a
terminal, you are asked; also when it asks for approval, for more fuel, or to be told something. Ctrl-C asks the task
to stop, a second Ctrl-C stops it where it is.

The task lives in memory and goes with the program. With --data it is kept in a directory, with its result, files and
output: `taskcell serve --data DIR` shows it later, and goes on with it when this program was killed. Other tasks in
there stay as they are. A directory that a server uses is the server's: `taskcell start` runs the task there.

Exit codes:
  0    the task succeeded
  1    the task failed: its own error, a panic, a trap, an exit code other than 0
  2    the command line is wrong, or its input cannot be read
  3    the plugin could not be loaded
  4    the task was refused before it started: no such task, input that does not match, a folder that is not there
  5    one of its limits stopped the task: fuel, time, idle time, memory, size of the result, what it may spend elsewhere
  6    the task was cancelled, but not from here
  70   the host failed: this machine, not the task; try `taskcell doctor`
  130  the task was cancelled with Ctrl-C or SIGTERM

Environment:
  TASKCELL_POLICY     the policy, when --policy does not name one
  TASKCELL_CACHE_DIR  where compiled plugins are kept (default: taskcell/compiled in XDG_CACHE_HOME or ~/.cache)
  TMPDIR              where scratch files are kept while a task runs
  TERM=dumb           plain lines instead of a progress bar";

/// Below `taskcell serve --help`.
pub(super) const SERVE_HELP: &str = "\
Examples:
  taskcell serve --data ./data
  taskcell serve --data ./data --plugin hello.wasm --running-max 200
  curl --unix-socket ./data/control.sock http://taskcell/v1/tasks

The server listens on control.sock in its directory, which only you may open. Plugins that are added over it, or named with
--plugin, are kept in the directory and loaded again by the next server. Tasks whose plugin is not there wait for it. Ctrl-C
or SIGTERM ends the server and not its tasks: the next server goes on with them. A second Ctrl-C ends it at once.
host/docs/http.md lists the routes.

With a policy, tasks get what it gives their plugins, and SIGHUP or `taskcell policy reload` reads the file again; one that
is wrong then is told, and the old one stays. What somebody allows always is written into it. `taskcell policy --help` says
more.

Exit codes: 0 when it was told to end, 2 for a wrong command line or policy, 3 when a --plugin cannot be loaded, 70 when the
directory or the socket cannot be used, 130 after a second Ctrl-C.

Environment:
  TASKCELL_POLICY     the policy, when --policy does not name one
  TASKCELL_DATA       the server's directory, when --data does not name one (default: taskcell in XDG_STATE_HOME or
                      ~/.local/state)
  TASKCELL_CACHE_DIR  where compiled plugins are kept (default: taskcell/compiled in XDG_CACHE_HOME or ~/.cache)";

/// Below `taskcell policy --help`.
pub(super) const POLICY_HELP: &str = "\
Examples:
  taskcell policy check taskcell.toml --plugin fetch.wasm
  taskcell policy explain fetch.wasm --policy taskcell.toml
  taskcell policy suggest fetch.wasm --set url=https://api.example.com/ -o fetch.toml
  taskcell policy reload
  taskcell policy schema > policy.schema.json

The policy is the file that is named, else the one that TASKCELL_POLICY names, else taskcell.toml in the server's
directory. No other folder is searched: a checkout of somebody else's has no say in what plugins may touch.

Exit codes: 0 when all is well or there are only warnings, 1 when `check` finds an error, 2 when there is no policy or it
cannot be read, 3 when a plugin cannot be loaded.

Environment:
  TASKCELL_POLICY     the policy, when no argument names one
  TASKCELL_DATA       the server's directory, when --data does not name one";

/// Below `taskcell policy suggest --help`.
pub(super) const SUGGEST_HELP: &str = "\
Examples:
  taskcell policy suggest fetch.wasm --set url=https://api.example.com/ -o fetch.toml
  taskcell policy suggest digest.wasm --dir docs::/docs --signal approval=true
  taskcell policy suggest fetch.wasm --set url=https://api.example.com/ --follow

The plugin runs here once, and is denied everything that has to be granted: no request is sent, no file of a folder is
opened, no secret is read, its questions are answered with no. What it was denied becomes the policy: the host, port and
method of each request, a folder that was read for reading, names. The rules are for these bytes of the plugin alone.

Most plugins give up at the first thing that they are denied, so one run often shows one thing. --follow runs it again
and again with what it wanted so far, for real, until nothing new is denied, ten times at most: do that only where you
would run it anyway. A folder is seen only when --dir shows it. What its manifest asks for and no run has seen is
written as a comment.

The policy is written to stdout or a new file; nothing is granted by that. Without --timeout a run takes a minute at most.

Exit codes: 0 when a policy is written, however the plugin ended; 2, 3, 4 as of `taskcell run`; 130 after a second Ctrl-C.";

/// Below `taskcell new --help`.
pub(super) const NEW_HELP: &str = "\
The folder holds a small task, a test of it that needs no WebAssembly, and a README with the next steps. The SDK is
found in --sdk, else in TASKCELL_SDK, else in the source tree that this program was built from.";

/// Below `taskcell sign --help`.
pub(super) const SIGN_HELP: &str = "\
Examples:
  taskcell keygen ~/.config/acme.pem
  taskcell sign fetch.wasm --key ~/.config/acme.pem
  taskcell sign fetch.wasm --key ~/.config/acme.pem --detached

The signature goes into the file, in the place of one that is there. It is of the whole file, which so gets another digest:
policies that name the digest have to name that of the signed file. With --detached the file stays as it is, and the
signature is fetch.wasm.sig, which is read wherever fetch.wasm is loaded from its file. Operators have the public key in their policy, under
[publishers], and say which plugins have to carry it.

Exit codes: 0 when it is signed, 1 when the key or a file cannot be used, 2 for a wrong command line, 3 when it is no plugin.";

/// Below `taskcell build --help`.
pub(super) const BUILD_HELP: &str = "\
The compiler is chosen by itself: the one in the path if it has the target, else rustup adds the target, else Debian's
packages are used. TASKCELL_GUEST_TOOLCHAIN=auto|rustup|debian chooses, TASKCELL_GUEST_TOOLCHAIN_DIR says where a
standard library that was built here is kept.";
