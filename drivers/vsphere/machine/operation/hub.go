package operation

import (
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hub"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// defaultProject is the project that every hub begins with.
const defaultProject = "default-project"

// readHub reads the access to a hub and its authority; nil if none is named.
func readHub(c option.Values, files certs.Files) (*hub.Client, []byte, error) {
	url := c.String("hub")
	if url == "" {
		for _, name := range []string{"hub-ca", "hub-project"} {
			if c.IsSet(name) {
				return nil, nil, wrongOption("hub", "", "--"+name+" is of no use without it", "name the hub with --hub")
			}
		}
		return nil, nil, nil // a token may come from the environment
	}
	if _, err := hub.ParseURL(url); err != nil {
		return nil, nil, wrongOption("hub", url, "no address of a hub", "give it as https://hub.example.com or https://hub.example.com:8443")
	}
	if c.String("hub-token") == "" {
		return nil, nil, wrongOption("hub", url, "a token for it is not given", "give --hub-token NAME:SECRET, or "+HubTokenEnv)
	}
	var ca []byte
	var err error
	if f := c.String("hub-ca"); f != "" {
		if ca, err = files.ReadAuthorities("--hub-ca", []string{f}); err != nil {
			return nil, nil, err
		}
	}
	client, err := hub.New(hub.Access{URL: url, CA: ca, Token: c.String("hub-token")})
	if err != nil {
		return nil, nil, wrongOption("hub-token", "...", "not a name and a secret with a colon between them", "give it as NAME:SECRET")
	}
	return client, ca, nil
}

// ReadHub reads the options by which delete reaches a hub; nil if none is named.
func ReadHub(c option.Values, l Local) (*hub.Client, error) {
	client, _, err := readHub(c, l.Files)
	return client, err
}

// readHubSpec reads what create tells a hub. The VCH trusts the hub's authority for images too.
func readHubSpec(c option.Values, l Local, s *vch.Spec) error {
	client, ca, err := readHub(c, l.Files)
	if err != nil || client == nil {
		return err
	}
	s.Hub = &vch.HubSpec{Client: client, Projects: c.Trimmed("hub-project")}
	if len(s.Hub.Projects) == 0 {
		s.Hub.Projects = []string{defaultProject}
	}
	if len(ca) > 0 {
		s.RegistryCAs = append(s.RegistryCAs, ca)
	}
	return nil
}
