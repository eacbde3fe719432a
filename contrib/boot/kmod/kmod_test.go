package kmod

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDepListsTheNearestDependencyFirst(t *testing.T) {
	modules := []Module{
		{Name: "crc", Path: "lib/crc.ko"},
		{Name: "tables", Path: "net/tables.ko", Depends: []string{"crc"}},
		{Name: "nat", Path: "net/nat.ko", Depends: []string{"tables", "builtin", "crc"}},
	}
	want := "lib/crc.ko:\nnet/tables.ko: lib/crc.ko\nnet/nat.ko: net/tables.ko lib/crc.ko\n"
	if got := string(Dep(modules)); got != want {
		t.Errorf("Dep:\n%s\nwant:\n%s", got, want)
	}
}

func TestResolveLeavesOutWhatIsBuiltIn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "modules.builtin"), []byte("kernel/fs/ext4/ext4.ko\nkernel/crypto/crc-t10.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	idx, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := idx.Resolve("ext4", "crc_t10")
	if err != nil || len(got) != 0 {
		t.Errorf("Resolve = %v, %v; want nothing to load", got, err)
	}
	if _, err := idx.Resolve("ext5"); !errors.Is(err, ErrUnknown) {
		t.Errorf("Resolve of a module that is not there: %v", err)
	}
}

func TestAlias(t *testing.T) {
	got := string(Alias([]Module{{Name: "nft_chain_nat", Aliases: []string{"nft-chain-2-nat"}}}))
	if want := "alias nft-chain-2-nat nft_chain_nat\n"; got != want {
		t.Errorf("Alias = %q, want %q", got, want)
	}
}
