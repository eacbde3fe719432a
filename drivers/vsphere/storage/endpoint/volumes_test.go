package endpoint

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/config"
)

// blocks reads the number of 4 KiB blocks out of an ext4 super block.
func blocks(t *testing.T, file string) uint32 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [4]byte
	if _, err := f.ReadAt(b[:], 1024+4); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint32(b[:])
}

func TestAVolumesFileSystemGrowsWithItsDisk(t *testing.T) {
	for _, tool := range []string{mke2fs, e2fsck, resize2x} {
		if _, err := os.Stat(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	dev := filepath.Join(t.TempDir(), "disk")
	size := func(n int64) {
		t.Helper()
		f, err := os.OpenFile(dev, os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			err = f.Truncate(n)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &Host{}
	size(512 << 20)
	if err := h.FormatVolume(t.Context(), dev); err != nil {
		t.Fatal(err)
	}
	before := blocks(t, dev)
	size(2 << 30)
	if n, err := h.Size(dev); err != nil || n != 2<<30 {
		t.Errorf("size %d, %v", n, err)
	}
	if err := h.Resize(t.Context(), dev); err != nil {
		t.Fatal(err)
	}
	if after := blocks(t, dev); before != 512<<20/4096 || after != 2<<30/4096 {
		t.Errorf("%d blocks, then %d", before, after)
	}
	if err := h.Resize(t.Context(), dev); err != nil {
		t.Errorf("of one that fits: %v", err)
	}
}

func TestASmallVolumeCanBeFormatted(t *testing.T) {
	if _, err := os.Stat(mke2fs); err != nil {
		t.Skip(mke2fs + " is not installed")
	}
	dev := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(dev, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&Host{}).FormatVolume(t.Context(), dev); err != nil {
		t.Fatal(err)
	}
}

func TestSharesAreMountedSoThatAServerThatIsGoneDoesNotHangTheEndpoint(t *testing.T) {
	for _, tc := range []struct{ store, address, port, want string }{
		{"nfs://filer/x", "10.0.0.1", "", "soft,timeo=50,retrans=2,vers=4.1,addr=10.0.0.1,proto=tcp"},
		{"nfs://filer:2050/x?vers=3&hard&timeo=600&mountport=2050&uid=5", "10.0.0.1", "2050",
			"soft,timeo=50,retrans=2,mountport=2050,vers=3,addr=10.0.0.1,proto=tcp,port=2050,nolock"},
		{"nfs://[fd00::1]/x?sec=sys", "fd00::1", "", "soft,timeo=50,retrans=2,sec=sys,vers=4.1,addr=fd00::1,proto=tcp6"},
	} {
		s, ok, err := config.ParseShare(tc.store)
		if !ok || err != nil {
			t.Fatal(tc.store, err)
		}
		if got := shareData(s, netip.MustParseAddr(tc.address), tc.port); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.store, got, tc.want)
		}
	}
}
