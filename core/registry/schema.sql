-- Times are milliseconds since 1970. A repository belongs to the project that is the first part of its name.
-- Every object in the storage has exactly one row that names it, in upload, blob or trash.

CREATE TABLE project (
  id @id, name @ascii NOT NULL UNIQUE, public BOOLEAN NOT NULL, created BIGINT NOT NULL,
  quota BIGINT NOT NULL,                              -- bytes; below 0: no bound
  used BIGINT NOT NULL DEFAULT 0 CHECK (used >= 0),   -- bytes of its blobs, each once, and of its manifests
  repo_quota BIGINT NOT NULL,                         -- repositories; below 0: no bound
  repos BIGINT NOT NULL DEFAULT 0 CHECK (repos >= 0)
);

CREATE TABLE repo (
  id @id, project_id BIGINT NOT NULL REFERENCES project(id), name @ascii NOT NULL UNIQUE, created BIGINT NOT NULL,
  updated BIGINT NOT NULL,                            -- the last push or delete of a manifest or tag
  manifests BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX repo_project ON repo(project_id, name);

-- An object that is being written. hash is the state of SHA-256 after size bytes. claim names the request that writes
-- at the moment, until claimed_until.
CREATE TABLE upload (
  id TEXT PRIMARY KEY, project_id BIGINT NOT NULL REFERENCES project(id), repo TEXT NOT NULL, location TEXT NOT NULL UNIQUE,
  size BIGINT NOT NULL, hash @bytes, started BIGINT NOT NULL, touched BIGINT NOT NULL, claim TEXT NOT NULL DEFAULT '', claimed_until BIGINT NOT NULL DEFAULT 0
) @clustered;
CREATE INDEX upload_touched ON upload(touched);

-- Live content, once for the whole registry. An empty blob has no object: S3 cannot complete an upload without parts.
CREATE TABLE blob (
  digest @ascii PRIMARY KEY, size BIGINT NOT NULL, location TEXT NOT NULL UNIQUE
) @clustered;

-- Which repository may read which blob.
CREATE TABLE repo_blob (
  repo_id BIGINT NOT NULL REFERENCES repo(id), digest @ascii NOT NULL REFERENCES blob(digest), PRIMARY KEY (repo_id, digest)
) @clustered;
CREATE INDEX repo_blob_digest ON repo_blob(digest);

-- What a project pays for, and how many of its repositories have it.
CREATE TABLE project_blob (
  project_id BIGINT NOT NULL REFERENCES project(id), digest @ascii NOT NULL, links BIGINT NOT NULL, PRIMARY KEY (project_id, digest)
) @clustered;

CREATE TABLE manifest (
  id @id, repo_id BIGINT NOT NULL REFERENCES repo(id), digest @ascii NOT NULL, media_type TEXT NOT NULL, artifact_type TEXT NOT NULL,
  subject @ascii, annotations TEXT NOT NULL,
  size BIGINT NOT NULL,                               -- of the manifest itself
  total BIGINT NOT NULL,                              -- with all that it names
  pushed BIGINT NOT NULL, pushed_by TEXT NOT NULL, UNIQUE (repo_id, digest)
);
CREATE INDEX manifest_pushed ON manifest(repo_id, pushed, id);
CREATE INDEX manifest_subject ON manifest(repo_id, subject, id) WHERE subject IS NOT NULL;

CREATE TABLE manifest_payload (
  manifest_id @key REFERENCES manifest(id) ON DELETE CASCADE, payload @bytes NOT NULL
);

-- What a manifest needs: blobs and other manifests of the same repository.
CREATE TABLE manifest_ref (
  manifest_id BIGINT NOT NULL REFERENCES manifest(id) ON DELETE CASCADE, repo_id BIGINT NOT NULL, digest @ascii NOT NULL, PRIMARY KEY (manifest_id, digest)
) @clustered;
CREATE INDEX manifest_ref_digest ON manifest_ref(repo_id, digest);

CREATE TABLE tag (
  repo_id BIGINT NOT NULL REFERENCES repo(id), name @ascii NOT NULL, manifest_id BIGINT NOT NULL REFERENCES manifest(id), pushed BIGINT NOT NULL, PRIMARY KEY (repo_id, name)
) @clustered;
CREATE INDEX tag_manifest ON tag(manifest_id);

-- What the collector has to look at, and not before when. kind is 'blob' (does a manifest need it?), 'untagged' (a
-- manifest that lost its tag or came without, since then), 'referrer' (a manifest whose subject, named in subject, was
-- deleted) or 'repo' (digest is empty: is the repository empty?).
CREATE TABLE review (
  repo_id BIGINT NOT NULL REFERENCES repo(id) ON DELETE CASCADE, kind TEXT NOT NULL, digest @ascii NOT NULL, subject @ascii NOT NULL DEFAULT '',
  since BIGINT NOT NULL, due BIGINT NOT NULL, PRIMARY KEY (repo_id, kind, digest)
) @clustered;
CREATE INDEX review_due ON review(due);

-- Objects that nothing can reach any more, and from when on nobody reads them. partial: it was never completed.
CREATE TABLE trash (
  location TEXT PRIMARY KEY, size BIGINT NOT NULL, due BIGINT NOT NULL, partial BOOLEAN NOT NULL
) @clustered;
CREATE INDEX trash_due ON trash(due);

CREATE TABLE registry_setting (name TEXT PRIMARY KEY, value @bytes NOT NULL);
