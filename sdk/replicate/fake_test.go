package replicate_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/internal/wiretest"
	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/replicatetest"
)

func digest(n int) string { return fmt.Sprintf("sha256:%064d", n) }

func store(f *replicate.Fake, e replicate.Endpoint) replicatetest.Store {
	r := f.Registry(e.URL)
	return replicatetest.Store{
		Endpoint:  e,
		Tag:       func(_ *testing.T, repository, tag string) string { return r.Tag(repository, tag) },
		Referrers: func(_ *testing.T, repository, digest string) int { return r.Referrers(repository, digest) },
		Received:  func(*testing.T) int64 { return r.Received() },
		Break:     func(_ *testing.T, after int64) { r.Break(after) },
	}
}

func fixture(t *testing.T, dial func(*testing.T, *replicate.Fake) replicate.Driver) replicatetest.Fixture {
	remote := replicate.Endpoint{URL: "https://remote.example.org", Username: "robot", Secret: "remote's"}
	local := replicate.Endpoint{URL: "https://hub.example.org", Username: "job", Secret: "local's"}
	f := replicate.NewFake(remote, local)
	put := func(n int, tag string, size int64) replicate.Artifact {
		m := replicate.FakeManifest{Digest: digest(n), Blobs: map[string]int64{digest(n + 100): size / 2, digest(n + 200): size - size/2}}
		for _, e := range []replicate.Endpoint{remote, local} {
			f.Registry(e.URL).Put("library/app", tag, m)
		}
		return replicate.Artifact{Repository: "library/app", Tag: tag, Digest: m.Digest, Size: size}
	}
	x := replicatetest.Fixture{
		Capabilities: f.Capabilities, Remote: store(f, remote), Local: store(f, local),
		Artifacts: []replicate.Artifact{put(1, "1.0", 5<<20), put(2, "2.0", 100)}, Referrers: 2,
		Large: put(3, "large", 40<<20), Chunk: replicate.FakeChunk,
		Gone:   replicate.Endpoint{URL: "https://gone.example.org"},
		Denied: replicate.Endpoint{URL: remote.URL, Username: "robot", Secret: "wrong"},
		Wrong:  replicate.Endpoint{URL: "ftp://remote.example.org"},
	}
	bad := replicate.FakeManifest{Digest: digest(4), Blobs: map[string]int64{digest(104): 5}, Corrupt: true}
	for _, e := range []replicate.Endpoint{remote, local} {
		f.Registry(e.URL).Put("library/corrupt", "bad", bad)
	}
	x.Corrupt = &replicate.Artifact{Repository: "library/corrupt", Tag: "bad", Digest: bad.Digest}
	for n := range x.Referrers {
		m := replicate.FakeManifest{Digest: digest(10 + n), Subject: digest(1), Blobs: map[string]int64{digest(20 + n): 500}}
		f.Registry(remote.URL).Put("library/app", "", m)
		f.Registry(local.URL).Put("library/app", "", m)
	}
	x.Driver = dial(t, f)
	return x
}

func overTLS(t *testing.T, f *replicate.Fake) replicate.Driver {
	return replicate.NewClient(wiretest.TLS(t, func(r grpc.ServiceRegistrar) {
		replicate.Register(r, func() (replicate.Driver, error) { return f, nil })
	}))
}

func TestFakeConforms(t *testing.T) {
	replicatetest.Suite(t, func(t *testing.T) replicatetest.Fixture {
		return fixture(t, func(_ *testing.T, f *replicate.Fake) replicate.Driver { return f })
	})
}

func TestFakeConformsOverTheWire(t *testing.T) {
	replicatetest.Suite(t, func(t *testing.T) replicatetest.Fixture { return fixture(t, overTLS) })
}

func TestFakeWithoutCapabilitiesConforms(t *testing.T) {
	for _, only := range []string{replicate.CapPull, replicate.CapPush} {
		t.Run(only, func(t *testing.T) {
			replicatetest.Suite(t, func(t *testing.T) replicatetest.Fixture {
				x := fixture(t, func(t *testing.T, f *replicate.Fake) replicate.Driver {
					f.Capabilities = []string{only}
					return overTLS(t, f)
				})
				x.Capabilities = []string{only}
				return x
			})
		})
	}
}
