package scanning

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/cveallow"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// A project's metadata that say which images it takes. The first two are Harbor's. Where a project says nothing, the hub's
// settings of the same names count.
const (
	MetadataPrevent   = "prevent_vul"      // "true": images with findings of the threshold or above are refused
	MetadataSeverity  = "severity"         // the threshold: none, low, medium, high, critical; without: low
	MetadataUnscanned = "unscanned_images" // "refuse" (without: that) or "allow"
	MetadataGrace     = "grace_days"       // for how long a finding that is new in an image that was scanned before is no reason
)

// MaxGraceDays bounds MetadataGrace.
const MaxGraceDays = 365

// Threshold reads a severity of the metadata; 0 for "none": every finding counts.
func Threshold(word string) scan.Severity {
	return map[string]scan.Severity{"none": scan.Unknown, "low": scan.Low, "medium": scan.Medium, "high": scan.High, "critical": scan.Critical}[word]
}

// Rule refuses images by what scans found. Indexes pass: whoever uses one of their images asks about that.
type Rule struct {
	Service *Service
	Lists   *cveallow.Lists
}

var _ admission.Rule = Rule{}

// want is what a project takes.
type want struct {
	prevent   bool
	threshold scan.Severity
	word      string
	unscanned bool
	grace     time.Duration
}

// wanted is what a project takes, by its metadata and the hub's settings.
func wanted(m map[string]string, v settings.Values) want {
	word := func(name, hub, otherwise string) string {
		if m[name] != "" {
			return m[name]
		}
		if hub != "" {
			return hub
		}
		return otherwise
	}
	w := want{prevent: word(MetadataPrevent, strconv.FormatBool(v.PreventVul), "") == "true", word: word(MetadataSeverity, v.Severity, "low"),
		unscanned: word(MetadataUnscanned, v.Unscanned, "refuse") == "allow"}
	w.threshold = Threshold(w.word)
	days, err := strconv.Atoi(word(MetadataGrace, strconv.Itoa(v.GraceDays), "0"))
	if err == nil {
		w.grace = time.Duration(days) * 24 * time.Hour
	}
	return w
}

// Check implements admission.Rule.
func (r Rule) Check(ctx context.Context, s admission.Subject) (*admission.Refusal, error) {
	v, err := r.Service.o.Settings.Now(ctx)
	if err != nil {
		return nil, err
	}
	w := wanted(s.Metadata, v)
	if !w.prevent || isIndex(s.Artifact.MediaType) {
		return nil, nil
	}
	scanner, err := r.Service.Of(ctx, s.Metadata)
	if errors.Is(err, errdef.ErrConflict) {
		return r.unscanned(w, s, "the hub has no scanner that could look at it", "Ask a cloud administrator to configure a scanner"), nil
	}
	if err != nil {
		return nil, err
	}
	list, err := r.Service.reports(ctx, scanner.Name, []string{s.Artifact.Digest.String()})
	if err != nil {
		return nil, err
	}
	switch {
	case len(list) == 0:
		return r.unscanned(w, s, "it has not been scanned", "Ask "+administrators(s)+" to scan it"), nil
	case list[0].First.IsZero():
		why := fmt.Sprintf("it has no report: its scan is %s", map[bool]string{true: "under way", false: "failed"}[!list[0].Status.Ended()])
		if list[0].Message != "" {
			why += " (" + list[0].Message + ")"
		}
		return r.unscanned(w, s, why, "Wait until the scan has ended, or ask "+administrators(s)+" to scan it again"), nil
	case list[0].Severity < w.threshold || list[0].Summary.Total == 0:
		return nil, nil
	}
	return r.judge(ctx, s, w, list[0])
}

func administrators(s admission.Subject) string {
	return "a DevOps administrator of the project " + s.Artifact.Project
}

func (Rule) unscanned(w want, s admission.Subject, why, do string) *admission.Refusal {
	if w.unscanned {
		return nil
	}
	return &admission.Refusal{Rule: "vulnerability", Why: fmt.Sprintf("%s, and the project %s takes scanned images alone", why, s.Artifact.Project), Do: do}
}

// judge looks at the findings of the threshold or above.
func (r Rule) judge(ctx context.Context, s admission.Subject, w want, o Overview) (*admission.Refusal, error) {
	allowed, err := r.Lists.Counting(ctx, r.Service.o.DB, s.ProjectID, s.Metadata)
	if err != nil {
		return nil, err
	}
	rows, err := r.Service.o.DB.Query(ctx, `SELECT v.cve, v.aliases, v.package, v.version, v.fixed, v.severity, MIN(f.first)
		FROM scan_finding f JOIN scan_vuln v ON v.id = f.vuln WHERE f.report = $1 AND v.severity >= $2
		GROUP BY v.id, v.cve, v.aliases, v.package, v.version, v.fixed, v.severity ORDER BY v.severity DESC, v.cve, v.package`, o.ID, int64(w.threshold))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	n, worst, now := 0, "", r.Service.o.Now()
	for rows.Next() {
		var cve, aliases, pkg, version, fixed string
		var severity, first int64
		if err := rows.Scan(&cve, &aliases, &pkg, &version, &fixed, &severity, &first); err != nil {
			return nil, err
		}
		names := []string{cve}
		var more []string
		if err := json.Unmarshal([]byte(aliases), &more); err != nil {
			return nil, err
		}
		known := at(first)
		if allowed.Allows(append(names, more...)...) || known.After(o.First) && now.Before(known.Add(w.grace)) {
			continue
		}
		if n++; n > 1 {
			continue
		}
		worst = fmt.Sprintf("%s (%s) in %s %s", cve, scan.Severity(severity), pkg, version)
		if fixed != "" {
			worst += ", fixed in " + fixed
		}
	}
	if err := rows.Err(); err != nil || n == 0 {
		return nil, err
	}
	many := "vulnerabilities"
	if n == 1 {
		many = "vulnerability"
	}
	return &admission.Refusal{Rule: "vulnerability",
		Why: fmt.Sprintf("it has %d %s of severity %s or above, which the project %s does not take; the worst is %s", n, many, w.word, s.Artifact.Project, worst),
		Do:  "Build it with packages that are fixed, or ask " + administrators(s) + " to put what you can live with on the project's CVE allowlist"}, nil
}
