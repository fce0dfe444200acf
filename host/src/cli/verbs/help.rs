//! What stands below the flags of the verbs in `--help`.

/// Below `taskcell start --help`.
pub(super) const START: &str = "\
Examples:
  id=$(taskcell start digest --dir docs::/docs) && taskcell wait $id
  taskcell start digest --follow
  taskcell start deploy --set version=7 --once deploy-7 --wait=10m
  taskcell start report --after 5m --retries 3 --title 'the evening report'

The id alone is written to stdout; with --wait and --follow it is the task's result, and the code is that of
`taskcell run`. Ctrl-C ends the waiting, not the task. Limits can be lower than the server's, not higher.";

/// Below `taskcell list --help`.
pub(super) const LIST: &str = "\
Examples:
  taskcell list --running
  taskcell list --ended --plugin digest --limit 5
  taskcell list --session s1 --all --json";

/// Below `taskcell wait --help`.
pub(super) const WAIT: &str = "\
Examples:
  taskcell wait 3f2a
  taskcell wait 3f2a --timeout 10m --artifacts reports
  taskcell wait 3f2a 91bc --json

With one task, its result is written to stdout and the code is that of `taskcell run`; with several, a line for each is
written in the order of the ids, and the code is that of the first that is no success. The waiting goes on when the
server is started again meanwhile. Ctrl-C ends the waiting, not the task.

Exit codes beside those of `taskcell run`:
  4    there is no such task
  7    no server is running
  8    a task had not ended when the time was over";

/// Below `taskcell events --help`.
pub(super) const EVENTS: &str = "\
Examples:
  taskcell events 3f2a --follow --json
  taskcell events 3f2a --after 120
  taskcell events --session s1

Following goes on where it was when the server is started again meanwhile.";

/// Below `taskcell approve --help`.
pub(super) const APPROVE: &str = "\
Examples:
  taskcell approve
  taskcell approve 3f2a
  taskcell approve 3f2a 2 --input '{\"version\": 6}'
  taskcell approve 3f2a --always

A question of the kind `grant` is the policy's: whether a plugin may touch something. Its yes holds for this one time,
with --task as long as the task lives, with --always for all tasks of the plugin: then it is written into the policy's
file, with who said so and when.";

/// Below `taskcell audit --help`.
pub(super) const AUDIT: &str = "\
Examples:
  taskcell audit --denied --since 1h
  taskcell audit --task 3f2a --all
  taskcell audit --plugin fetch --capability http --follow
  taskcell audit --json > audit-of-today.jsonl

It reads audit.jsonl in the server's directory and its older parts beside it, with and without a running server. What a
task may do has a line when it does it for the first time, and another when another rule lets it; requests to other
machines have a line each, and so has each denial. `taskcell inspect PLUGIN --history` sums up what a plugin did.";

/// Below `taskcell revoke --help`.
pub(super) const REVOKE: &str = "\
Examples:
  taskcell revoke http 3f2a
  taskcell revoke fs --plugin digest --now

It is gone with the next call that needs it, for the tasks below a task as well. A plugin's tasks that start later do not
have it either, until another policy is in force or the server is started again; the policy itself stays as it is.";

/// Below `taskcell schedule add --help`.
pub(super) const SCHEDULE_ADD: &str = "\
Examples:
  taskcell schedule add nightly digest --every '30 2 * * *' --dir docs::/docs
  taskcell schedule add hourly report --every @hourly --zone Europe/Berlin
  taskcell schedule add once deploy --at '2030-12-24 18:30' --set version=7";
