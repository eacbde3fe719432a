package replicate

import "github.com/openvic/vic/sdk/kind"

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info: kind.Info{
			Name: "replicate", Doc: "moves artifacts between registries", Takes: kind.List, Suite: "replicatetest",
			Capabilities: []kind.Capability{
				{Word: CapPull, Doc: "lists a remote and copies from it"},
				{Word: CapPush, Doc: "copies to a remote"},
				{Word: CapDelete, Doc: "deletes at a remote"},
				{Word: CapPrepare, Doc: "makes what a remote needs before a push"},
				{Word: CapResume, Doc: "goes on in the middle of a blob"},
				{Word: CapReferrers, Doc: "copies signatures and what else refers to an artifact"},
			},
		},
		Register: Register, Client: NewClient,
	}
}
