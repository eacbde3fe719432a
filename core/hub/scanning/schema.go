package scanning

import "github.com/openvic/vic/core/store"

// Schema is the tables, over the registry's.
//
// A report is of a digest and a scanner: the same image in several repositories is scanned once. Weaknesses are kept once for
// the whole hub: scan_vuln is what a finding says of a package's version, scan_finding which report has it and where in the
// image. So 100,000 images with 200 findings each are 20 million small rows over some ten thousand texts, and which images have a
// CVE is one index. scan_sbom keeps what an image holds, for matching it again without pulling: the document itself, and the
// numbers of its packages, which are read for all images to find those that new data are about.
func Schema() store.Schema {
	return store.Schema{Name: "scanning", Steps: []string{`
CREATE TABLE scan_report (
	id @id, digest @ascii NOT NULL, scanner @ascii NOT NULL,
	status TEXT NOT NULL,                               -- of the last scan: Pending, Running, Success, Error, Stopped
	message TEXT NOT NULL DEFAULT '',                   -- why the last scan did not succeed
	execution BIGINT NOT NULL DEFAULT 0,                -- the last scan's
	started BIGINT NOT NULL DEFAULT 0, ended BIGINT NOT NULL DEFAULT 0,
	first BIGINT NOT NULL DEFAULT 0,                    -- when the first scan succeeded; 0: none has. What follows is of the last that did
	generated BIGINT NOT NULL DEFAULT 0, database_version TEXT NOT NULL DEFAULT '', database_updated BIGINT NOT NULL DEFAULT 0,
	severity BIGINT NOT NULL DEFAULT 0,                 -- the highest
	summary TEXT NOT NULL DEFAULT '{}', tool TEXT NOT NULL DEFAULT '{}', warnings TEXT NOT NULL DEFAULT '[]',
	UNIQUE (digest, scanner)
);
CREATE INDEX scan_report_scanner ON scan_report(scanner, id);

CREATE TABLE scan_vuln (
	id @id, sum @ascii NOT NULL UNIQUE,                 -- of all that follows
	cve @ascii NOT NULL, aliases TEXT NOT NULL, package TEXT NOT NULL, version TEXT NOT NULL, fixed TEXT NOT NULL,
	severity BIGINT NOT NULL, score BIGINT NOT NULL,    -- CVSS of version 3 or later, in tenths
	detail @bytes NOT NULL
);
CREATE INDEX scan_vuln_cve ON scan_vuln(cve);
CREATE INDEX scan_vuln_package ON scan_vuln(package);
CREATE INDEX scan_vuln_severity ON scan_vuln(severity, id);

-- Where in images packages are.
CREATE TABLE scan_place (
	id @id, layer @ascii NOT NULL, path TEXT NOT NULL, UNIQUE (layer, path)
);

CREATE TABLE scan_finding (
	report BIGINT NOT NULL REFERENCES scan_report(id) ON DELETE CASCADE, vuln BIGINT NOT NULL REFERENCES scan_vuln(id),
	place BIGINT NOT NULL REFERENCES scan_place(id),
	first BIGINT NOT NULL,                              -- since when the hub knows of it
	PRIMARY KEY (report, vuln, place)
) @clustered;
CREATE INDEX scan_finding_vuln ON scan_finding(vuln, report);

CREATE TABLE scan_package (
	id @id, name TEXT NOT NULL UNIQUE                   -- a purl without version
);

CREATE TABLE scan_sbom (
	report @key REFERENCES scan_report(id) ON DELETE CASCADE, format TEXT NOT NULL, size BIGINT NOT NULL,
	packages @bytes NOT NULL,                           -- numbers of scan_package, as differences in varints
	document @bytes NOT NULL                            -- zstd
);

-- The data of each scanner that reports were last matched with.
CREATE TABLE scan_database (
	scanner @ascii PRIMARY KEY, version TEXT NOT NULL, updated BIGINT NOT NULL, checked BIGINT NOT NULL, problem TEXT NOT NULL
);
CREATE INDEX manifest_digest ON manifest(digest)`}}
}
