package scan

import (
	"math"

	"github.com/openvic/vic/sdk/internal/wire"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
	"github.com/openvic/vic/sdk/secret"
)

func wantToWire(w Want) scanv1.Want {
	switch w {
	case Vulnerability:
		return scanv1.Want_WANT_VULNERABILITY
	case SPDX:
		return scanv1.Want_WANT_SBOM_SPDX
	case CycloneDX:
		return scanv1.Want_WANT_SBOM_CYCLONEDX
	default:
		return scanv1.Want_WANT_UNSPECIFIED
	}
}

// wantFromWire keeps a number that it does not know as one that no check accepts.
func wantFromWire(w scanv1.Want) Want {
	switch w {
	case scanv1.Want_WANT_UNSPECIFIED:
		return ""
	case scanv1.Want_WANT_VULNERABILITY:
		return Vulnerability
	case scanv1.Want_WANT_SBOM_SPDX:
		return SPDX
	case scanv1.Want_WANT_SBOM_CYCLONEDX:
		return CycloneDX
	default:
		return Want(w.String())
	}
}

func descriptionToWire(d Description) *scanv1.DescribeResponse {
	return &scanv1.DescribeResponse{Name: d.Name, Vendor: d.Vendor, Version: d.Version, Supports: wire.Map(d.Supports, supportToWire)}
}

func descriptionFromWire(d *scanv1.DescribeResponse) Description {
	return Description{Name: d.GetName(), Vendor: d.GetVendor(), Version: d.GetVersion(), Supports: wire.Map(d.GetSupports(), supportFromWire)}
}

func supportToWire(s Support) *scanv1.Support {
	return &scanv1.Support{Want: wantToWire(s.Want), MediaTypes: s.MediaTypes}
}

func supportFromWire(s *scanv1.Support) Support {
	return Support{Want: wantFromWire(s.GetWant()), MediaTypes: s.GetMediaTypes()}
}

func databaseToWire(d Database) *scanv1.Database {
	return &scanv1.Database{Version: d.Version, Updated: wire.FromTime(d.Updated), Problem: d.Problem,
		Ecosystems: wire.Map(d.Ecosystems, ecosystemToWire)}
}

func databaseFromWire(d *scanv1.Database) Database {
	return Database{Version: d.GetVersion(), Updated: wire.ToTime(d.GetUpdated()), Problem: d.GetProblem(),
		Ecosystems: wire.Map(d.GetEcosystems(), ecosystemFromWire)}
}

func ecosystemToWire(e Ecosystem) *scanv1.Ecosystem {
	return &scanv1.Ecosystem{Name: e.Name, Records: uint64(max(e.Records, 0)), Updated: wire.FromTime(e.Updated)}
}

func ecosystemFromWire(e *scanv1.Ecosystem) Ecosystem {
	return Ecosystem{Name: e.GetName(), Records: int64(min(e.GetRecords(), math.MaxInt64)), Updated: wire.ToTime(e.GetUpdated())}
}

func scanToWire(r ScanRequest) *scanv1.ScanRequest {
	return &scanv1.ScanRequest{
		Id: r.ID, Repository: r.Repository, Digest: r.Digest, Tag: r.Tag, MediaType: r.MediaType, Wants: wire.Map(r.Wants, wantToWire),
		Registry: &scanv1.Registry{Url: r.Registry.URL, Ca: r.Registry.CA, Authorization: string(r.Registry.Authorization)},
	}
}

func scanFromWire(r *scanv1.ScanRequest) ScanRequest {
	return ScanRequest{
		ID: r.GetId(), Repository: r.GetRepository(), Digest: r.GetDigest(), Tag: r.GetTag(), MediaType: r.GetMediaType(),
		Wants: wire.Map(r.GetWants(), wantFromWire),
		Registry: Registry{URL: r.GetRegistry().GetUrl(), CA: r.GetRegistry().GetCa(),
			Authorization: secret.Text(r.GetRegistry().GetAuthorization())},
	}
}

func importToWire(r ImportRequest) *scanv1.ImportHeader {
	return &scanv1.ImportHeader{Format: r.Format, Ecosystem: r.Ecosystem, Sha256: r.SHA256}
}

func importFromWire(r *scanv1.ImportHeader) ImportRequest {
	return ImportRequest{Format: r.GetFormat(), Ecosystem: r.GetEcosystem(), SHA256: r.GetSha256()}
}

func changesToWire(c Changes) *scanv1.ChangesResponse {
	return &scanv1.ChangesResponse{Version: c.Version, All: c.All, Packages: c.Packages}
}

func changesFromWire(c *scanv1.ChangesResponse) Changes {
	return Changes{Version: c.GetVersion(), All: c.GetAll(), Packages: c.GetPackages()}
}

func progressToWire(p Progress) *scanv1.Progress {
	return &scanv1.Progress{Step: p.Step, Percent: uint32(max(p.Percent, 0))}
}

// progressFromWire makes a number that is too large for an int one that the check refuses.
func progressFromWire(p *scanv1.Progress) Progress {
	return Progress{Step: p.GetStep(), Percent: int(min(p.GetPercent(), 101))}
}

func findingToWire(f Finding) *scanv1.Finding {
	return &scanv1.Finding{
		Id: f.ID, Aliases: f.Aliases, Package: f.Package, Version: f.Version, FixedIn: f.FixedIn,
		Severity: scanv1.Severity(f.Severity), SeveritySource: f.SeveritySource, Description: f.Description, Links: f.Links,
		Cvss: wire.Map(f.CVSS, cvssToWire), Cwes: f.CWEs, Purl: f.PURL, Layer: f.Layer, Path: f.Path,
		Published: wire.FromTime(f.Published), VendorJson: f.VendorJSON,
	}
}

func findingFromWire(f *scanv1.Finding) Finding {
	return Finding{
		ID: f.GetId(), Aliases: f.GetAliases(), Package: f.GetPackage(), Version: f.GetVersion(), FixedIn: f.GetFixedIn(),
		Severity: Severity(f.GetSeverity()), SeveritySource: f.GetSeveritySource(), Description: f.GetDescription(), Links: f.GetLinks(),
		CVSS: wire.Map(f.GetCvss(), cvssFromWire), CWEs: f.GetCwes(), PURL: f.GetPurl(), Layer: f.GetLayer(), Path: f.GetPath(),
		Published: wire.ToTime(f.GetPublished()), VendorJSON: f.GetVendorJson(),
	}
}

func cvssToWire(v CVSS) *scanv1.Cvss {
	return &scanv1.Cvss{Version: v.Version, Vector: v.Vector, Score: v.Score}
}

func cvssFromWire(v *scanv1.Cvss) CVSS {
	return CVSS{Version: v.GetVersion(), Vector: v.GetVector(), Score: v.GetScore()}
}

func reportToWire(r Report) *scanv1.Report {
	return &scanv1.Report{Generated: wire.FromTime(r.Generated), DatabaseVersion: r.Database,
		DatabaseUpdated: wire.FromTime(r.DatabaseUpdated), Warnings: r.Warnings}
}

func reportFromWire(r *scanv1.Report) Report {
	return Report{Generated: wire.ToTime(r.GetGenerated()), Database: r.GetDatabaseVersion(),
		DatabaseUpdated: wire.ToTime(r.GetDatabaseUpdated()), Warnings: r.GetWarnings()}
}
