package jobs

import "github.com/openvic/vic/core/store"

// Schema is the tables. Times are milliseconds since 1970, 0 for never.
func Schema() store.Schema {
	return store.Schema{Name: "jobs", Steps: []string{`
-- A piece of work as people see it: one or more tasks. alone, if not empty, is what no two that have not ended may share.
CREATE TABLE job_execution (
	id @id, kind @ascii NOT NULL, subject BIGINT NOT NULL, alone @ascii NOT NULL, cause @ascii NOT NULL, status @ascii NOT NULL, message TEXT NOT NULL,
	params TEXT NOT NULL, tasks BIGINT NOT NULL, succeeded BIGINT NOT NULL DEFAULT 0, failed BIGINT NOT NULL DEFAULT 0, stopped BIGINT NOT NULL DEFAULT 0,
	created BIGINT NOT NULL, started BIGINT NOT NULL DEFAULT 0, ended BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX job_execution_alone ON job_execution (kind, alone) WHERE ended = 0 AND alone <> '';
CREATE INDEX job_execution_subject ON job_execution (kind, subject, id);
CREATE INDEX job_execution_ended ON job_execution (ended) WHERE ended > 0;

-- What a process does in one go. run counts the times that one took it, and fences those before; beat is counted up by
-- who runs it. due is when it may run, expires when it is given up if nobody took it by then.
CREATE TABLE job_task (
	id @id, execution BIGINT NOT NULL REFERENCES job_execution(id) ON DELETE CASCADE, kind @ascii NOT NULL, status @ascii NOT NULL, message TEXT NOT NULL,
	payload TEXT NOT NULL, report TEXT NOT NULL DEFAULT '', done BIGINT NOT NULL DEFAULT 0, total BIGINT NOT NULL DEFAULT 0,
	run BIGINT NOT NULL DEFAULT 0, failures BIGINT NOT NULL DEFAULT 0, losses BIGINT NOT NULL DEFAULT 0, beat BIGINT NOT NULL DEFAULT 0,
	stop BOOLEAN NOT NULL DEFAULT FALSE, worker TEXT NOT NULL DEFAULT '',
	created BIGINT NOT NULL, due BIGINT NOT NULL, expires BIGINT NOT NULL, started BIGINT NOT NULL DEFAULT 0,
	updated BIGINT NOT NULL, ended BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX job_task_execution ON job_task (execution, id);
CREATE INDEX job_task_waiting ON job_task (kind, due, id) WHERE status = 'Pending';
CREATE INDEX job_task_expires ON job_task (expires) WHERE status = 'Pending';
CREATE INDEX job_task_running ON job_task (id) WHERE status = 'Running';

CREATE TABLE job_log (
	task BIGINT NOT NULL REFERENCES job_task(id) ON DELETE CASCADE, n BIGINT NOT NULL, at BIGINT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (task, n)
) @clustered;

CREATE TABLE job_schedule (
	id @id, kind @ascii NOT NULL, subject BIGINT NOT NULL, cron TEXT NOT NULL, params TEXT NOT NULL, next BIGINT NOT NULL, created BIGINT NOT NULL,
	updated BIGINT NOT NULL, UNIQUE (kind, subject)
);
CREATE INDEX job_schedule_next ON job_schedule (next)`}}
}
