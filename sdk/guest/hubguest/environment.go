package hubguest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/openvic/vic/sdk/errdef"
)

// EnvironmentKey is the guestinfo key under which vSphere gives a VM its OVF environment, whose transport is Transport.
const (
	EnvironmentKey = "guestinfo.ovfEnv"
	Transport      = "com.vmware.guestInfo"
)

// Bounds of an OVF environment.
const (
	MaxEnvironment = 256 << 10 // bytes
	maxDepth       = 16
	maxProperties  = 256
)

// The namespaces of an OVF environment: DSP0243's, and VMware's for what it adds.
const (
	spaceEnvironment = "http://schemas.dmtf.org/ovf/environment/1"
	spaceVMware      = "http://www.vmware.com/schema/ovfenv"
)

// Environment is what matters of an OVF environment.
type Environment struct {
	Properties map[string]string
	MACs       []string // of the NICs, in their order; vCenter tells them, others need not
}

// ParseEnvironment reads the XML text of an OVF environment. Who may set the properties of a VM wrote what is in it. errdef.ErrInvalid.
func ParseEnvironment(text []byte) (Environment, error) {
	e := Environment{Properties: map[string]string{}}
	if len(text) > MaxEnvironment {
		return e, invalid("it has %d bytes, more than %d", len(text), MaxEnvironment)
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	depth, seen := 0, false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return e, invalid("%v", err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return e, invalid("it has a document type")
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return e, invalid("its elements are nested more than %d deep", maxDepth)
			}
			if depth == 1 {
				if t.Name.Space != spaceEnvironment || t.Name.Local != "Environment" {
					return e, invalid("it begins with %.80q instead of Environment", t.Name.Local)
				}
				seen = true
			}
			if err := e.element(t); err != nil {
				return e, err
			}
		}
	}
	if !seen {
		return e, invalid("it is empty")
	}
	return e, nil
}

func (e *Environment) element(t xml.StartElement) error {
	switch {
	case t.Name.Space == spaceEnvironment && t.Name.Local == "Property":
		key := attribute(t, spaceEnvironment, "key")
		if _, twice := e.Properties[key]; twice || key == "" {
			return invalid("the property %.80q is there twice, or has no key", key)
		}
		if len(e.Properties) == maxProperties {
			return invalid("it has more than %d properties", maxProperties)
		}
		e.Properties[key] = attribute(t, spaceEnvironment, "value")
	case t.Name.Space == spaceVMware && t.Name.Local == "Adapter" && len(e.MACs) < maxProperties:
		e.MACs = append(e.MACs, attribute(t, spaceVMware, "mac"))
	}
	return nil
}

func attribute(t xml.StartElement, space, name string) string {
	for _, a := range t.Attr {
		if a.Name.Space == space && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("the OVF environment cannot be read: "+format+": %w", append(args, errdef.ErrInvalid)...)
}
