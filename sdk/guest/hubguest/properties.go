package hubguest

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openvic/vic/sdk/errdef"
)

// Class is that of the OVA's properties: the key of one in the OVF environment is hub.hostname.
const Class = "hub"

// Property is a property of the OVA.
type Property struct {
	Key, Label, Description, Category string
	Boolean, Password                 bool
	most                              int // bytes of its value
}

// Bounds of values, in bytes.
const (
	maxShort = 512
	maxPEM   = 64 << 10
)

// Properties are those of the OVA, in the order in which they are asked for.
func Properties() []Property {
	const network, certificate, users, support = "Network", "Certificate", "Users", "Support"
	return []Property{
		{Key: "hostname", Category: network, Label: "Host name", most: maxShort,
			Description: "The full name by which clients reach the hub, such as hub.example.com. Needed."},
		{Key: "address", Category: network, Label: "Address", most: maxShort,
			Description: "Static IPv4 address with the length of its prefix, such as 10.0.0.5/24. Empty: DHCP."},
		{Key: "gateway", Category: network, Label: "Gateway", most: maxShort, Description: "Of a static address."},
		{Key: "dns", Category: network, Label: "Name servers", most: maxShort, Description: "Addresses with commas between them. Empty: those of DHCP."},
		{Key: "certificate", Category: certificate, Label: "Certificate", most: maxPEM,
			Description: "PEM text of the server's certificate, with those of intermediate authorities behind it. Empty: the hub makes its own authority."},
		{Key: "private_key", Category: certificate, Label: "Private key", Password: true, most: maxPEM,
			Description: "PEM text, without a passphrase, of the certificate's key."},
		{Key: "admin_password", Category: users, Label: "First administrator's password", Password: true, most: maxShort,
			Description: "Of the user admin@local, of ten characters or more. Change it after the first sign-in: vSphere keeps this one. Needed."},
		{Key: "debug", Category: support, Label: "Log more", Boolean: true, most: maxShort, Description: "The hub logs what is of use to developers too."},
	}
}

// FromEnvironment makes a hub of the properties of an OVF environment. The error names all that is wrong, a line each. errdef.ErrInvalid.
func FromEnvironment(e Environment) (Hub, error) {
	h := Hub{ID: "ova"}
	if len(e.MACs) == 1 { // with several, the VM has NICs that nobody here knows of
		h.MAC = e.MACs[0]
	}
	var wrong []error
	values := map[string]string{}
	for _, p := range Properties() {
		v := strings.TrimSpace(e.Properties[Class+"."+p.Key])
		if len(v) > p.most || !printable(v) {
			wrong = append(wrong, fmt.Errorf("%s.%s: it has more than %d bytes, or characters that are no text", Class, p.Key, p.most))
			continue
		}
		values[p.Key] = v
	}
	for _, x := range []struct {
		key  string
		read func(map[string]string) error
	}{{"hostname", h.readName}, {"address", h.readAddress}, {"dns", h.readDNS} /* after the address */, {"certificate", h.readCertificate},
		{"admin_password", h.readPassword}, {"debug", h.readDebug}, {"mac", h.readMAC}} {
		if err := x.read(values); err != nil {
			wrong = append(wrong, fmt.Errorf("%s.%s: %w", Class, x.key, err))
		}
	}
	if len(wrong) > 0 {
		return Hub{}, fmt.Errorf("the OVF properties of this VM are not right; change them in vSphere (vApp options) and power it on again: %w:\n%w",
			errdef.ErrInvalid, errors.Join(wrong...))
	}
	return h, nil
}

// printable says whether a value is text: lines are well, other control characters are not.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' })
}

var namePattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (h *Hub) readName(v map[string]string) error {
	name := strings.ToLower(v["hostname"])
	if !namePattern.MatchString(name) || len(name) > 253 {
		return fmt.Errorf("%.80q is no host name: want one such as hub.example.com", name)
	}
	h.Name, _, _ = strings.Cut(name, ".")
	h.Names = append(h.Names, name)
	return nil
}

func (h *Hub) readAddress(v map[string]string) error {
	if v["address"] == "" {
		if v["gateway"] != "" {
			return errors.New("it is empty, and hub.gateway is not: give both or none")
		}
		return nil
	}
	p, err := netip.ParsePrefix(v["address"])
	if err != nil || !p.Addr().Is4() || p.Bits() < 1 || p.Addr().IsUnspecified() || p.Addr().IsMulticast() || p.Addr().IsLoopback() {
		return fmt.Errorf("%.80q is no address with the length of its prefix, such as 10.0.0.5/24", v["address"])
	}
	gateway, err := netip.ParseAddr(v["gateway"])
	if err != nil || !p.Contains(gateway) || gateway == p.Addr() {
		return fmt.Errorf("hub.gateway, %.80q, is no other address of the network %v", v["gateway"], p.Masked())
	}
	h.Address, h.Gateway = p, gateway
	h.Names = append(h.Names, p.Addr().String())
	return nil
}

func (h *Hub) readDNS(v map[string]string) error {
	const most = 3 // as resolvers have it
	for _, s := range strings.FieldsFunc(v["dns"], func(r rune) bool { return r == ',' || r == ' ' }) {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || len(h.DNS) == most {
			return fmt.Errorf("%.80q: want at most %d addresses of name servers with commas between them", v["dns"], most)
		}
		h.DNS = append(h.DNS, a)
	}
	if h.Address.IsValid() && len(h.DNS) == 0 {
		return errors.New("it is empty, and hub.address is static: give the addresses of name servers")
	}
	return nil
}

func (h *Hub) readCertificate(v map[string]string) error {
	cert, key := v["certificate"], v["private_key"]
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" || key == "" {
		return errors.New("certificate and hub.private_key belong together: give both or none")
	}
	h.Cert, h.Key = lines(cert), lines(key)
	if _, err := tls.X509KeyPair(h.Cert, h.Key); err != nil { // which tells neither of them
		return fmt.Errorf("it is no certificate in PEM, or hub.private_key is not its key: %w", err)
	}
	return nil
}

var pemPattern = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END ([A-Z0-9 ]{1,40})-----`)

// lines makes PEM of a text whose lines were joined, by blanks or by a backslash and an n, as the fields of the vSphere Client do.
func lines(s string) []byte {
	var out []byte
	for _, m := range pemPattern.FindAllStringSubmatch(s, -1) {
		body := strings.Join(strings.Fields(strings.ReplaceAll(m[2], `\n`, " ")), "\n")
		if b, _ := pem.Decode([]byte("-----BEGIN " + m[1] + "-----\n" + body + "\n-----END " + m[3] + "-----\n")); b != nil {
			out = append(out, pem.EncodeToMemory(b)...)
		}
	}
	return out
}

func (h *Hub) readPassword(v map[string]string) error {
	const least = 10
	if h.Password = v["admin_password"]; utf8.RuneCountInString(h.Password) < least || strings.ContainsAny(h.Password, "\r\n\t") {
		return fmt.Errorf("it has less than %d characters, or several lines", least)
	}
	return nil
}

func (h *Hub) readDebug(v map[string]string) (err error) {
	if v["debug"] != "" {
		if h.Debug, err = strconv.ParseBool(strings.ToLower(v["debug"])); err != nil {
			return fmt.Errorf("%.80q is neither true nor false", v["debug"])
		}
	}
	return nil
}

func (h *Hub) readMAC(map[string]string) error {
	if h.MAC == "" {
		return nil
	}
	if m, err := net.ParseMAC(h.MAC); err != nil || len(m) != 6 {
		return fmt.Errorf("%.80q, the NIC's address in the OVF environment, is none", h.MAC)
	}
	return nil
}
