package hubguest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// environment is what vCenter makes of properties.
func environment(t testing.TB, properties map[string]string, more string) []byte {
	t.Helper()
	var out strings.Builder
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"
     xmlns:ve="http://www.vmware.com/schema/ovfenv" oe:id="" ve:vCenterId="vm-42">
   <PlatformSection><Kind>VMware ESXi</Kind><Version>8.0.3</Version></PlatformSection>
   <PropertySection>`)
	for k, v := range properties {
		out.WriteString(`<Property oe:key="` + k + `" oe:value="`)
		if err := xml.EscapeText(&out, []byte(v)); err != nil {
			t.Fatal(err)
		}
		out.WriteString(`"/>`)
	}
	out.WriteString("</PropertySection>" + more + "</Environment>")
	return []byte(out.String())
}

const adapters = `<ve:EthernetAdapterSection><ve:Adapter ve:mac="00:50:56:8b:00:01" ve:network="VM Network" ve:unitNumber="7"/></ve:EthernetAdapterSection>`

// pair makes a certificate with its key.
func pair(t testing.TB) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"hub.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

func read(t testing.TB, properties map[string]string, more string) (Hub, error) {
	t.Helper()
	e, err := ParseEnvironment(environment(t, properties, more))
	if err != nil {
		t.Fatal(err)
	}
	return FromEnvironment(e)
}

func files(c guest.Config) map[string]string {
	out := map[string]string{}
	for _, f := range c.Appliance.Files {
		out[f.Path] = string(f.Data)
	}
	return out
}

func TestPropertiesBecomeAConfiguration(t *testing.T) {
	h, err := read(t, map[string]string{"hub.hostname": "Hub.example.com", "hub.admin_password": "correct-horse", "hub.debug": "False", "other": "x"}, "")
	if err != nil {
		t.Fatal(err)
	}
	c := h.Config()
	if n := c.Networks[0]; !n.DHCP || n.MAC != "" || n.Interface != Interface || c.Hostname != "hub" || len(c.Appliance.Services[0].Args) != 4 {
		t.Errorf("%+v", c)
	}
	f := files(c)
	if !strings.Contains(f[FileHub], `names = ["hub.example.com"]`) || !strings.Contains(f[FileHub], `auth = ["local"]`) || f[FilePassword] != "correct-horse" ||
		f[FileCert] != "" {
		t.Errorf("%q", f)
	}

	cert, key := pair(t)
	joined := func(s, by string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", by) }
	for _, by := range []string{"\n", " ", `\n`, "\r\n"} {
		h, err = read(t, map[string]string{"hub.hostname": "hub", "hub.admin_password": "correct-horse", "hub.address": "10.0.0.5/24", "hub.gateway": "10.0.0.1",
			"hub.dns": "10.0.0.53, 10.0.0.54", "hub.certificate": joined(cert, by), "hub.private_key": joined(key, by), "hub.debug": "True"}, adapters)
		if err != nil {
			t.Fatalf("lines joined by %q: %v", by, err)
		}
		c, f = h.Config(), files(h.Config())
		n := c.Networks[0]
		if n.DHCP || n.Addresses[0].String() != "10.0.0.5/24" || n.Gateway.String() != "10.0.0.1" || n.MAC != "00:50:56:8b:00:01" || len(c.DNS.Servers) != 2 {
			t.Errorf("%+v", c)
		}
		if f[FileCert] != cert || f[FileKey] != key || !strings.Contains(f[FileHub], `cert = "/etc/vic-hub/tls/server-cert.pem"`) ||
			c.Appliance.Services[0].Args[4] != "--debug" {
			t.Errorf("%q", f)
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	cert, _ := pair(t)
	_, other := pair(t)
	right := map[string]string{"hub.hostname": "hub.example.com", "hub.admin_password": "correct-horse"}
	for _, c := range []struct {
		change map[string]string
		want   string
	}{
		{map[string]string{"hub.hostname": ""}, "hub.hostname"},
		{map[string]string{"hub.hostname": "hub_1"}, "no host name"},
		{map[string]string{"hub.hostname": `a"]` + "\n[x]"}, "no host name"},
		{map[string]string{"hub.hostname": strings.Repeat("a", 600)}, "more than 512 bytes"},
		{map[string]string{"hub.admin_password": "short"}, "hub.admin_password"},
		{map[string]string{"hub.admin_password": "correct\nhorse-battery"}, "several lines"},
		{map[string]string{"hub.gateway": "10.0.0.1"}, "give both or none"},
		{map[string]string{"hub.address": "10.0.0.5"}, "hub.address"},
		{map[string]string{"hub.address": "fe80::1/64"}, "hub.address"},
		{map[string]string{"hub.address": "127.0.0.1/8", "hub.gateway": "127.0.0.2"}, "hub.address"},
		{map[string]string{"hub.address": "10.0.0.5/24", "hub.gateway": "10.0.1.1"}, "no other address of the network 10.0.0.0/24"},
		{map[string]string{"hub.address": "10.0.0.5/24", "hub.gateway": "10.0.0.1"}, "hub.dns"},
		{map[string]string{"hub.dns": "one"}, "hub.dns"},
		{map[string]string{"hub.dns": "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4"}, "at most 3"},
		{map[string]string{"hub.certificate": cert}, "belong together"},
		{map[string]string{"hub.certificate": cert, "hub.private_key": other}, "not its key"},
		{map[string]string{"hub.certificate": "x", "hub.private_key": "y"}, "no certificate in PEM"},
		{map[string]string{"hub.debug": "maybe"}, "hub.debug"},
		{map[string]string{"hub.dns": "1\u009b1"}, "no text"},
	} {
		all := map[string]string{}
		for _, m := range []map[string]string{right, c.change} {
			for k, v := range m {
				all[k] = v
			}
		}
		_, err := read(t, all, "")
		if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%v: %v, want %s", c.change, err, c.want)
		}
	}
	if _, err := read(t, nil, ""); err == nil || !strings.Contains(err.Error(), "hub.hostname") || !strings.Contains(err.Error(), "hub.admin_password") {
		t.Errorf("not all that is missing is named: %v", err)
	}
	if _, err := read(t, right, strings.ReplaceAll(adapters, "00:50", "zz")); err == nil || !strings.Contains(err.Error(), "NIC") {
		t.Errorf("a wrong address of a NIC: %v", err)
	}
}

func TestAnEnvironmentThatIsNoneIsRefused(t *testing.T) {
	const begin = `<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1">`
	for name, text := range map[string]string{
		"nothing": "", "no XML": "hello", "another": "<a/>", "no namespace": "<Environment/>", "unfinished": begin,
		"too long":      begin + strings.Repeat(" ", MaxEnvironment) + "</Environment>",
		"too deep":      begin + strings.Repeat("<a>", maxDepth) + strings.Repeat("</a>", maxDepth) + "</Environment>",
		"a type":        `<!DOCTYPE a [<!ENTITY b "c">]>` + begin + "</Environment>",
		"an entity":     begin + `<Property oe:key="a" oe:value="&b;"/></Environment>`,
		"twice":         begin + `<Property oe:key="a" oe:value="1"/><Property oe:key="a" oe:value="2"/></Environment>`,
		"no key":        begin + `<Property oe:value="1"/></Environment>`,
		"two documents": begin + "</Environment><x/>",
	} {
		if e, err := ParseEnvironment([]byte(text)); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %+v %v", name, e, err)
		}
	}
}

// FuzzEnvironment: whatever the text is, what comes out is a configuration whose files are where a hub's are, or an error.
func FuzzEnvironment(f *testing.F) {
	cert, key := pair(f)
	f.Add(environment(f, nil, ""))
	f.Add(environment(f, map[string]string{"hub.hostname": "hub.example.com", "hub.admin_password": "correct-horse"}, adapters))
	f.Add(environment(f, map[string]string{"hub.hostname": "hub", "hub.admin_password": "correct-horse", "hub.address": "10.0.0.5/24", "hub.gateway": "10.0.0.1",
		"hub.dns": "10.0.0.53", "hub.certificate": cert, "hub.private_key": key, "hub.debug": "true"}, ""))
	f.Add([]byte("<Environment"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEnvironment(text)
		if err != nil {
			return
		}
		h, err := FromEnvironment(e)
		if err != nil {
			if !errors.Is(err, errdef.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		c := h.Config()
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
		for path := range files(c) {
			if !strings.HasPrefix(path, Etc) {
				t.Errorf("it writes %q", path)
			}
		}
		if strings.Count(files(c)[FileHub], "\n") > 11 {
			t.Errorf("a value has come out of its place: %q", files(c)[FileHub])
		}
	})
}
