package scan

import "github.com/openvic/vic/sdk/kind"

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info: kind.Info{
			Name: "scan", Doc: "finds weaknesses in images, and lists what is in them", Takes: kind.List, Suite: "scantest",
			Capabilities: []kind.Capability{
				{Word: CapVulnerability, Doc: "a scan gives findings"},
				{Word: CapSPDX, Doc: "a scan gives an SBOM: SPDX 2.3 JSON"},
				{Word: CapCycloneDX, Doc: "a scan gives an SBOM: CycloneDX 1.6 JSON"},
				{Word: CapMatch, Doc: "finds weaknesses in an SBOM that it made before"},
				{Word: CapImport, Doc: "takes its data from a file"},
				{Word: CapUpdate, Doc: "fetches its data"},
				{Word: CapChanges, Doc: "tells what new data mean for artifacts that it knows"},
			},
		},
		Register: Register, Client: NewClient,
	}
}
