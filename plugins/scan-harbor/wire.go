package main

import (
	"encoding/json"
)

// The media types of Harbor's pluggable scanner API. An adapter takes one of them in an Accept header, not a list.
const (
	typeMetadata   = "application/vnd.scanner.adapter.metadata+json; version=1.1"
	typeRequest    = "application/vnd.scanner.adapter.scan.request+json; version=1.1"
	typeRequestOld = "application/vnd.scanner.adapter.scan.request+json; version=1.0"
	typeResponse   = "application/vnd.scanner.adapter.scan.response+json; version=1.0"
	typeReport     = "application/vnd.security.vulnerability.report; version=1.1"
	typeReportOld  = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
	typeSBOM       = "application/vnd.security.sbom.report+json; version=1.0"
	mediaSPDX      = "application/spdx+json"
	mediaCycloneDX = "application/vnd.cyclonedx+json"
	updatedKey     = "harbor.scanner-adapter/vulnerability-database-updated-at"
	nextUpdateKey  = "harbor.scanner-adapter/vulnerability-database-next-update-at"
)

type wireMetadata struct {
	Scanner struct {
		Name    string `json:"name"`
		Vendor  string `json:"vendor"`
		Version string `json:"version"`
	} `json:"scanner"`
	Capabilities []wireCapability           `json:"capabilities"`
	Properties   map[string]json.RawMessage `json:"properties"` // texts, but an adapter may have others
}

type wireCapability struct {
	Type     string   `json:"type"` // API 1.0 has none: vulnerability
	Consumes []string `json:"consumes_mime_types"`
	Produces []string `json:"produces_mime_types"`
	More     struct {
		SBOM []string `json:"sbom_media_types"`
	} `json:"additional_attributes"`
}

type wireRequest struct {
	Registry struct {
		URL           string `json:"url"`
		Authorization string `json:"authorization"`
	} `json:"registry"`
	Artifact struct {
		Repository string `json:"repository"`
		Digest     string `json:"digest"`
		Tag        string `json:"tag"`
		MediaType  string `json:"mime_type"`
	} `json:"artifact"`
	Enabled []wireEnabled `json:"enabled_capabilities,omitempty"`
}

type wireEnabled struct {
	Type       string          `json:"type"`
	Produces   []string        `json:"produces_mime_types,omitempty"`
	Parameters *wireParameters `json:"parameters,omitempty"`
}

type wireParameters struct {
	SBOM []string `json:"sbom_media_types"`
}

type wireVulnerability struct {
	ID          string   `json:"id"`
	Package     string   `json:"package"`
	Version     string   `json:"version"`
	FixVersion  string   `json:"fix_version"`
	Severity    string   `json:"severity"`
	Description string   `json:"description"`
	Links       []string `json:"links"`
	CVSS        *struct {
		ScoreV3  *float64 `json:"score_v3"`
		VectorV3 string   `json:"vector_v3"`
		ScoreV2  *float64 `json:"score_v2"`
		VectorV2 string   `json:"vector_v2"`
	} `json:"preferred_cvss"`
	CWEs  []string `json:"cwe_ids"`
	Layer *struct {
		DiffID string `json:"diff_id"`
	} `json:"layer"` // Trivy's
	Vendor json.RawMessage `json:"vendor_attributes"`
}
