package auth

import "github.com/openvic/vic/sdk/kind"

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info: kind.Info{
			Name: "auth", Doc: "says who people are and which groups they are in", Takes: kind.List, Suite: "authtest",
			Capabilities: []kind.Capability{
				{Word: CapPassword, Doc: "signs in with name and password"},
				{Word: CapRedirect, Doc: "signs in with a browser at a provider"},
				{Word: CapToken, Doc: "signs in with a token of the platform"},
				{Word: CapLookup, Doc: "tells of one principal"},
				{Word: CapSearch, Doc: "finds users and groups"},
				{Word: CapManage, Doc: "keeps users and groups of its own"},
			},
		},
		Register: Register, Client: NewClient,
	}
}
