"""Bugs to be planted in the scripts, one at a time, to see that the model finds them."""

from collections.abc import Mapping
from dataclasses import dataclass

from evq.scripts import read_sources


@dataclass(frozen=True)
class Mutation:
    """A bug: in the script or include *file*, *old* becomes *new*."""

    file: str
    old: str
    new: str

    def planted(self) -> Mapping[str, str]:
        """Return the changed source by its name; raise `ValueError` if there is not one place to change."""
        source = (read_sources("evq.lua") | read_sources("evq.lua.include"))[self.file]
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file}.lua has {source.count(self.old)} times: {self.old}")
        return {self.file: source.replace(self.old, self.new)}


MUTATIONS = {
    "a stale fence is as good as the newest": Mutation(
        "check_lease", 'job.fence == fence and job.state == "active"', 'job.state == "active"'
    ),
    "a lease does not raise the fence": Mutation(
        "lease_job", "math.max(job.fence + 1, time)", "math.max(job.fence, time)"
    ),
    "a settle is not remembered": Mutation("snooze", "  job.rare.settled = fence\n", ""),
    "an ack writes before it removes": Mutation(
        "settle_each",
        "  leave_active(held)\n  return each_lease(act)\n",
        "  local words = each_lease(act)\n  leave_active(held)\n  return words\n",
    ),
    "an end keeps its dedup key": Mutation(
        "end_job", 'if rare.dedup and redis.call("GET"', 'if false and redis.call("GET"'
    ),
    "a remove keeps its dedup key": Mutation(
        "remove", 'if dedup and redis.call("GET"', 'if false and redis.call("GET"'
    ),
    "a lost worker counts as no crash": Mutation(
        "take_back", "local rare, crashes = job.rare, { time }", "local rare, crashes = job.rare, {}"
    ),
    "whoever ran isolated is blamed at once": Mutation("reclaim_expired", "and 10 or 3", "and 3 or 3"),
    "an end gives no place in its group back": Mutation("leave_active", '"active", -1)', '"active", 0)'),
    "a group may run one more than its cap": Mutation(
        "place_group", "tonumber(running or 0) < tonumber", "tonumber(running or 0) <= tonumber"
    ),
    "a pause of the queue is ignored": Mutation("allowance", "if paused then", "if false then"),
    "a pause of a group is ignored": Mutation("place_group", "and not paused", "and true"),
    "a rate is never spent": Mutation("allowance", "if interval and count > 0 then", "if false then"),
    "a group that was held back stays so": Mutation("promote_due", '    redis.call("ZREM", throttled, group)\n', ""),
    "a retry forgets that the job was cancelled": Mutation("backoff", "if job.rare.cancel then", "if false then"),
    "a reclaim forgets that the job was cancelled": Mutation("take_back", "if rare.cancel then", "if false then"),
    "a delayed job loses its priority": Mutation("to_waiting", "score_of(job.priority", "score_of(2048"),
    "what goes in front goes behind": Mutation("places", "(front and -place or place)", "place"),
    "an expired job stays where it waits": Mutation("expire_due", "withdraw(id, job)", 'job.state ~= "active"'),
    "a batch that is not whole is marked": Mutation("mark", 'redis.call("HLEN", staged_of .. batch) == count', "true"),
    "a batch that was dropped is marked": Mutation("mark", "or 0) > time", "or 0) > 0"),
    "a part that comes again after the mark is moved again": Mutation(
        "is_marked", 'redis.call("ZSCORE", marked, batch) or ', ""
    ),
    "a part that comes again after the move begins a batch anew": Mutation(
        "stage", "is_marked(batch, time)", "is_marked(batch, math.huge)"
    ),
    "a batch that is marked is dropped": Mutation(
        "expire_due", 'if not redis.call("ZSCORE", marked, batch) then', "if true then"
    ),
    "a batch is forgotten with its mark": Mutation(
        "mark", '  redis.call("ZADD", staging, time + hold_ms, batch)\n', ""
    ),
    "a batch is over with its first part": Mutation("move_marked", "if part <= 1 or not packed then", "if true then"),
    "a replay keeps the failures": Mutation("replay", "time, 0, nil, nil", "time, job.failures, nil, nil"),
    "an unparked job leaves its group": Mutation(
        "unpark", "to_waiting(id, job, false, score)", "to_waiting(id, { rare = {} }, false, score)"
    ),
    "jobs are let go whose hooks have not run": Mutation("let_go", "if listed then", "if false then"),
    "a lease that was lost counts as one that has settled its job": Mutation(
        "reclaim_expired", "job.fence = job.fence + 1 --", "job.fence = job.fence --"
    ),
    "a payload that was large is kept twice": Mutation("update_job", "job.payload and #payload", "#payload"),
    "a job is forgotten, but for its payload": Mutation(
        "forget", '    redis.call("HDEL", payloads, unpack(ids))\n', ""
    ),
    "a silence is not noticed": Mutation("held_until", "== 0 then", "< 0 then"),
}
