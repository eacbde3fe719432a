package disk

import (
	"net/netip"
	"testing"
)

func TestNFSIsMountedAsTheKernelReadsIt(t *testing.T) {
	for _, tc := range []struct{ options, address, data, module string }{
		{"", "10.0.0.1", "vers=4.1,addr=10.0.0.1,proto=tcp", "nfsv4"},
		{"vers=4.2,soft,timeo=50", "10.0.0.1", "soft,timeo=50,vers=4.2,addr=10.0.0.1,proto=tcp", "nfsv4"},
		{"nfsvers=3,port=2049,lock", "10.0.0.1", "port=2049,vers=3,addr=10.0.0.1,proto=tcp,nolock", "nfsv3"},
		{"vers=4.1,addr=6.6.6.6", "fd00::1", "vers=4.1,addr=fd00::1,proto=tcp6", "nfsv4"},
	} {
		n := NFS{Source: "h:/x", Address: netip.MustParseAddr(tc.address), Options: tc.options}
		if got := n.data(); got != tc.data {
			t.Errorf("%q: %s, want %s", tc.options, got, tc.data)
		}
		if got := n.Modules(); len(got) != 1 || got[0] != tc.module {
			t.Errorf("%q: modules %v", tc.options, got)
		}
	}
}
