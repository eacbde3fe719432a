package vuln

import (
	"slices"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/openvic/vic/sdk/scan"
)

// rate says how bad a record is for a package, who says so, and the ratings of the package's own. The distribution's word
// for its release comes first, whatever CVSS says; then the base score of CVSS 4.0, 3.1, 3.0; then the database's word;
// else nobody knows.
func rate(r record, x affectedRecord) (scan.Severity, string, []scan.CVSS) {
	own := vectors(x.Severity)
	base, _, _ := strings.Cut(x.Package.Ecosystem, ":")
	urgency := x.EcosystemSpecific.Urgency
	for _, s := range append(slices.Clone(x.Severity), r.Severity...) {
		if s.Type == base { // "Ubuntu"
			urgency = s.Score
		}
	}
	if s := words[strings.ToLower(urgency)]; s != 0 {
		return s, strings.ToLower(strings.ReplaceAll(base, " ", "-")), own
	}
	for _, list := range [][]scan.CVSS{own, vectors(r.Severity)} {
		if best, ok := best(list); ok {
			return ofScore(best.Score), "cvss", own
		}
	}
	for _, w := range []string{x.EcosystemSpecific.Severity, x.DatabaseSpecific.Severity, r.DatabaseSpecific.Severity} {
		if s := words[strings.ToLower(w)]; s != 0 {
			return s, "database", own
		}
	}
	return scan.Unknown, "", own
}

// words are those of Debian's urgency, Ubuntu's priority, Red Hat's and GitHub's severity.
var words = map[string]scan.Severity{
	"unimportant": scan.Negligible, "negligible": scan.Negligible, "low": scan.Low, "medium": scan.Medium, "moderate": scan.Medium,
	"high": scan.High, "important": scan.High, "critical": scan.Critical,
}

func ofScore(score float64) scan.Severity {
	switch {
	case score >= 9:
		return scan.Critical
	case score >= 7:
		return scan.High
	case score >= 4:
		return scan.Medium
	case score > 0:
		return scan.Low
	}
	return scan.Negligible
}

// best is the rating that counts: the newest version of CVSS, of several the highest.
func best(list []scan.CVSS) (scan.CVSS, bool) {
	for _, version := range []string{"4.0", "3.1", "3.0"} {
		var top scan.CVSS
		for _, v := range list {
			if v.Version == version && (top.Version == "" || v.Score > top.Score) {
				top = v
			}
		}
		if top.Version != "" {
			return top, true
		}
	}
	return scan.CVSS{}, false
}

const maxVector = 256 // bytes

// vectors reads the vectors of CVSS; what is none is left out.
func vectors(list []rating) []scan.CVSS {
	var all []scan.CVSS
	for _, r := range list {
		if len(r.Score) > maxVector || len(all) == scan.MaxCVSS {
			continue
		}
		if v, ok := score(r); ok && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

func score(r rating) (scan.CVSS, bool) {
	v := scan.CVSS{Vector: r.Score}
	var err error
	switch {
	case strings.HasPrefix(r.Score, "CVSS:4.0/"):
		var c *gocvss40.CVSS40
		if c, err = gocvss40.ParseVector(r.Score); err == nil {
			v.Version, v.Score = "4.0", c.Score()
		}
	case strings.HasPrefix(r.Score, "CVSS:3.1/"):
		var c *gocvss31.CVSS31
		if c, err = gocvss31.ParseVector(r.Score); err == nil {
			v.Version, v.Score = "3.1", c.BaseScore()
		}
	case strings.HasPrefix(r.Score, "CVSS:3.0/"):
		var c *gocvss30.CVSS30
		if c, err = gocvss30.ParseVector(r.Score); err == nil {
			v.Version, v.Score = "3.0", c.BaseScore()
		}
	case r.Type == "CVSS_V2":
		var c *gocvss20.CVSS20
		if c, err = gocvss20.ParseVector(r.Score); err == nil {
			v.Version, v.Score = "2.0", c.BaseScore()
		}
	}
	return v, err == nil && v.Version != ""
}
