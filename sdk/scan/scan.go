// Package scan is the plugin kind that finds weaknesses in images and lists what is in them. This file is
// all a driver's author has to read: the interface, its vocabulary, an example and the errors; bounds.go
// has the numbers.
//
// The host owns the queue, the schedule, thresholds, allow lists and the store of reports. A driver owns
// its database of weaknesses.
//
// # Rules
//
//   - The host chooses the ID of a scan; it is for logs. A scan lives as long as its call and leaves
//     nothing behind that matters: the same call again is always right. Calls may come at the same time,
//     also with one ID.
//   - A driver reads the artifact from the registry of the request, with its credential, and from nowhere
//     else. It sends the credential to the registry and to the token service that the registry names, and
//     not along with redirects to elsewhere.
//   - What a scan finds goes to the Sink as it is found, so that neither side keeps a report of 100,000
//     findings in memory. It counts once Scan has returned without an error; until then it is void.
//   - A Sink is used by one goroutine at a time. If it returns an error, the driver stops and returns that.
//   - Progress never falls. The SDK repeats the last one when a driver says nothing for a while, so that
//     the host knows that the process lives.
//   - A report says which version of the database it is of. The host matches again when Database tells of
//     another one.
//   - Capabilities say which methods there are and what may be wanted. Describe and Database always are;
//     a method without its capability answers errdef.ErrUnsupported.
//
// # Example
//
// A driver that knows one weakness, with the capability CapVulnerability:
//
//	type old struct{ scan.Unsupported }   // answers for all the methods that are not here
//
//	func (o *old) Scan(ctx context.Context, req scan.ScanRequest, to scan.Sink) (scan.Report, error) {
//		packages, err := o.read(ctx, req.Registry, req.Repository, req.Digest)
//		if err != nil {
//			return scan.Report{}, err
//		}
//		if err := to.Progress(scan.Progress{Step: "match", Percent: 90}); err != nil {
//			return scan.Report{}, err
//		}
//		for _, p := range packages {
//			if p.Name != "bash" || p.Version >= "4.3" {
//				continue
//			}
//			f := scan.Finding{ID: "CVE-2014-6271", Package: "bash", Version: p.Version, FixedIn: "4.3",
//				Severity: scan.Critical, SeveritySource: "cvss"}
//			if err := to.Findings([]scan.Finding{f}); err != nil {
//				return scan.Report{}, err
//			}
//		}
//		return scan.Report{Generated: time.Now(), Database: "1"}, nil
//	}
//
// # Errors
//
// Each method says what it returns beside errdef.ErrUnavailable (the registry or the scanner does not
// answer, or has too much to do: the host tries again later) and errdef.ErrUnsupported. A request that
// breaks a bound is errdef.ErrInvalid before the driver sees it; an answer that breaks one reaches the
// host as errdef.ErrInternal, and as nothing else. Finding.Clip makes a finding keep the bounds.
package scan

import (
	"context"
	"io"
	"time"

	"github.com/openvic/vic/sdk/secret"
)

// Driver is what a scan plugin serves.
type Driver interface {
	// Describe says what the scanner is and what it scans.
	Describe(ctx context.Context) (Description, error)
	// Database says how old the data are. No data are no error.
	Database(ctx context.Context) (Database, error)
	// Scan scans one artifact (each Want is a capability). ErrNotFound: there is no such artifact.
	// ErrDenied: the registry does not accept the credential. ErrUnsupported: a media type or a Want that
	// Describe does not have. ErrInvalid: the artifact is broken. ErrConflict: vulnerabilities are wanted
	// and there are no data yet. ErrExhausted: the artifact is larger than the driver takes, for good.
	Scan(ctx context.Context, req ScanRequest, to Sink) (Report, error)
	// Match is Scan for vulnerabilities on an SBOM that the driver made before (CapMatch). ErrInvalid: it
	// cannot be read. ErrConflict, ErrExhausted as in Scan.
	Match(ctx context.Context, req MatchRequest, to Sink) (Report, error)
	// Import replaces the data of one ecosystem in one step (CapImport); the same again changes nothing.
	// ErrInvalid: the data cannot be read, or are not those of SHA256: nothing has changed. ErrUnsupported:
	// another format or ecosystem than the driver knows. ErrConflict: another Import or Update is under way.
	Import(ctx context.Context, req ImportRequest) (Database, error)
	// Update fetches what is new from where the driver's configuration says (CapUpdate). progress may be
	// nil. ErrConflict as in Import.
	Update(ctx context.Context, progress func(Progress) error) (Database, error)
	// Changes says what is new since a version of the database (CapChanges); All for a version that the
	// driver does not know. ErrConflict: there are no data yet.
	Changes(ctx context.Context, req ChangesRequest) (Changes, error)
}

// Sink takes what a scan finds.
type Sink interface {
	// Progress says how far it is.
	Progress(p Progress) error
	// Findings takes some findings, however many.
	Findings(f []Finding) error
	// Document takes the next bytes of an SBOM of that format. The sink does not keep data.
	Document(format Want, data []byte) error
}

// Want is something that a scan can tell; it is also the capability to tell it.
type Want string

// What a scan can tell.
const (
	Vulnerability Want = CapVulnerability
	SPDX          Want = CapSPDX
	CycloneDX     Want = CapCycloneDX
)

// The capabilities of a scan component.
const (
	CapVulnerability = "vulnerability"  // Scan gives findings
	CapSPDX          = "sbom:spdx"      // Scan gives an SBOM: SPDX 2.3 JSON
	CapCycloneDX     = "sbom:cyclonedx" // Scan gives an SBOM: CycloneDX 1.6 JSON
	CapMatch         = "match"          // Match
	CapImport        = "import"         // Import
	CapUpdate        = "update"         // Update
	CapChanges       = "changes"        // Changes
)

// Capabilities are all of them.
func Capabilities() []string {
	return []string{CapVulnerability, CapSPDX, CapCycloneDX, CapMatch, CapImport, CapUpdate, CapChanges}
}

// Severity is how bad a finding is; they are ordered. The zero value is none of them.
type Severity int

// The severities, as Harbor's scanner API has them.
const (
	Unknown Severity = 1 + iota
	Negligible
	Low
	Medium
	High
	Critical
)

// String is the word of Harbor's scanner API: "High".
func (s Severity) String() string {
	if s < Unknown || s > Critical {
		return "None"
	}
	return [...]string{"Unknown", "Negligible", "Low", "Medium", "High", "Critical"}[s-Unknown]
}

// Description is what a scanner is.
type Description struct {
	Name     string
	Vendor   string
	Version  string
	Supports []Support // one for each Want
}

// Support is something that a scanner can tell, and of what.
type Support struct {
	Want       Want
	MediaTypes []string // of manifests; at least one
}

// Database is the state of a scanner's data.
type Database struct {
	// Version is compared for equality alone; empty: there are no data.
	Version    string
	Updated    time.Time
	Ecosystems []Ecosystem
	// Problem is what is wrong, for people; empty if nothing is.
	Problem string
}

// Ecosystem is a part of the data.
type Ecosystem struct {
	Name    string // "Debian:12", "npm"
	Records int64
	Updated time.Time
}

// ScanRequest asks for a scan.
type ScanRequest struct {
	ID         string
	Registry   Registry
	Repository string // "project/app"
	Digest     string
	Tag        string // for people; may be empty
	MediaType  string // of the manifest; never of an index
	Wants      []Want
}

// Registry is where an artifact is.
type Registry struct {
	URL string // "https://hub.example.com"
	CA  []byte // PEM; empty: the system's
	// Authorization is the value of the header; empty: none.
	Authorization secret.Text
}

// MatchRequest asks for a scan of an SBOM.
type MatchRequest struct {
	ID     string
	Format Want      // SPDX or CycloneDX
	SBOM   io.Reader // the driver reads as much as it needs
}

// ImportRequest brings data.
type ImportRequest struct {
	Format    string // "osv-zip"
	Ecosystem string
	SHA256    string // of the data, in hex
	// Data is what the host read; drivers read Verified instead.
	Data io.Reader
}

// FormatOSV is all.zip of osv.dev.
const FormatOSV = "osv-zip"

// ChangesRequest asks what is new.
type ChangesRequest struct {
	Since string // Database.Version
}

// Changes says which packages to look at again.
type Changes struct {
	Version string // of now
	All     bool   // the driver does not know, or too many
	// Packages are purls without version ("pkg:deb/debian/openssl") whose records are new, changed or
	// withdrawn.
	Packages []string
}

// Progress is how far something is.
type Progress struct {
	Step    string // "pull", "unpack", "match"
	Percent int    // 0 to 100; it never falls
}

// Report ends a scan.
type Report struct {
	Generated time.Time
	// Database is the version that the findings are of, and DatabaseUpdated its age; empty if no
	// vulnerabilities were wanted.
	Database        string
	DatabaseUpdated time.Time
	Warnings        []string // "layer 3 is encrypted"
}

// Finding is a weakness of a package in an artifact.
type Finding struct {
	ID             string // the CVE if there is one
	Aliases        []string
	Package        string
	Version        string
	FixedIn        string // empty: there is no fix
	Severity       Severity
	SeveritySource string // "debian", "cvss"
	Description    string
	Links          []string // https or http
	CVSS           []CVSS
	CWEs           []string
	PURL           string
	Layer          string // diff ID of the layer that brought the package
	Path           string // where the package is in the image
	Published      time.Time
	VendorJSON     []byte // what the scanner says beyond that
}

// CVSS is one rating of a weakness.
type CVSS struct {
	Version string // "2.0", "3.1", "4.0"
	Vector  string
	Score   float64 // 0 to 10
}
