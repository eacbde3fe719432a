package network

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// nameTTL is how long an answer of ours may be kept, in seconds; Docker's.
const nameTTL = 600

// asker is what is known of who asks.
type asker struct {
	known    bool // a container
	outside  bool // that has a way out
	networks []*member
	id       string
}

// Resolve answers a question about containers. handled is false for what others have to answer; a nil
// answer to a question that is handled means that nobody may be asked.
func (d *Driver) Resolve(from netip.Addr, q *dns.Msg) (answer *dns.Msg, handled bool) {
	if len(q.Question) != 1 {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.whoAsks(from.Unmap())
	if m := d.answer(a, q); m != nil {
		return m, true
	}
	return nil, a.known && !a.outside
}

// whoAsks is called with d.mu held. Names are known on the networks that users make, not on the
// default bridge, as with Docker.
func (d *Driver) whoAsks(from netip.Addr) asker {
	var a asker
	for _, m := range d.nets {
		if id, ok := m.pool.taken[from]; ok && m.external == nil {
			a.known, a.id = true, id
		}
	}
	if !a.known {
		return a
	}
	for _, m := range d.nets {
		if m.pool.leases[a.id] == nil {
			continue
		}
		a.outside = a.outside || !m.Internal
		if m.external == nil && !m.Given {
			a.networks = append(a.networks, m)
		}
	}
	return a
}

// answer is called with d.mu held.
func (d *Driver) answer(a asker, q *dns.Msg) *dns.Msg {
	question := q.Question[0]
	if question.Qclass != dns.ClassINET || len(a.networks) == 0 {
		return nil
	}
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	hdr := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: nameTTL}
	switch question.Qtype {
	case dns.TypePTR:
		name := d.nameOf(a, question.Name)
		if name == "" {
			return nil
		}
		m.Answer = append(m.Answer, &dns.PTR{Hdr: hdr, Ptr: dns.Fqdn(name)})
	default:
		found := d.addressesOf(a, strings.ToLower(strings.TrimSuffix(question.Name, ".")))
		if len(found) == 0 {
			return nil
		}
		for _, addr := range found {
			switch {
			case question.Qtype == dns.TypeA && addr.Is4():
				m.Answer = append(m.Answer, &dns.A{Hdr: hdr, A: net.IP(addr.AsSlice())})
			case question.Qtype == dns.TypeAAAA && addr.Is6():
				m.Answer = append(m.Answer, &dns.AAAA{Hdr: hdr, AAAA: net.IP(addr.AsSlice())})
			}
		}
	}
	return m
}

// Upstream returns the DNS servers that a container wants to be asked; none: the host's.
func (d *Driver) Upstream(from netip.Addr) []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.whoAsks(from.Unmap()).networks {
		if id, ok := m.pool.taken[from.Unmap()]; ok {
			return m.pool.leases[id].dns
		}
	}
	return nil
}

// addressesOf finds the members of the asker's networks that have a name there and run. What the
// asker calls others by itself comes first. The order is another each time: names may be shared.
func (d *Driver) addressesOf(a asker, name string) []netip.Addr {
	var out []netip.Addr
	for _, m := range a.networks {
		want := strings.TrimSuffix(name, "."+strings.ToLower(m.Name))
		for alias, target := range m.pool.leases[a.id].links {
			if strings.EqualFold(alias, want) {
				want = strings.ToLower(target)
				break
			}
		}
		for id, l := range m.pool.leases {
			if !hasName(l, want) || !d.runs(id) {
				continue
			}
			for _, addr := range []netip.Addr{l.addr, l.addr6} {
				if addr.IsValid() {
					out = append(out, addr)
				}
			}
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func hasName(l *lease, name string) bool {
	for _, n := range l.names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// nameOf returns the first name and the network of the member that a reverse name means.
func (d *Driver) nameOf(a asker, reverse string) string {
	addr, ok := addressOf(reverse)
	if !ok {
		return ""
	}
	for _, m := range a.networks {
		if id, ok := m.pool.taken[addr]; ok && d.runs(id) && len(m.pool.leases[id].names) > 0 {
			return m.pool.leases[id].names[0] + "." + m.Name
		}
	}
	return ""
}

// addressOf reads "9.0.16.172.in-addr.arpa." and the same of ip6.arpa.
func addressOf(reverse string) (netip.Addr, bool) {
	name := strings.ToLower(dns.Fqdn(reverse))
	if s, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(s, ".")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		a, err := netip.ParseAddr(strings.Join(parts, "."))
		return a, err == nil && a.Is4()
	}
	s, ok := strings.CutSuffix(name, ".ip6.arpa.")
	parts := strings.Split(s, ".")
	if !ok || len(parts) != 32 {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := 31; i >= 0; i-- {
		b.WriteString(parts[i])
		if i%4 == 0 && i > 0 {
			b.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(b.String())
	return a, err == nil
}

// runs says whether a container's VM is on.
func (d *Driver) runs(id string) bool {
	m, ok := d.inv.Get(id)
	return ok && isOn(m)
}
