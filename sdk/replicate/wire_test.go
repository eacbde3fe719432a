package replicate

import (
	"math"
	"reflect"
	"testing"
	"time"

	replicatev1 "github.com/openvic/vic/sdk/proto/replicate/v1"
)

// crosses sees that values come back as they were sent.
func crosses[V, W any](t *testing.T, to func(V) W, from func(W) V, values ...V) {
	t.Helper()
	for _, v := range values {
		if got := from(to(v)); !reflect.DeepEqual(got, v) {
			t.Errorf("got %+v, want %+v", got, v)
		}
	}
}

var (
	then = time.Unix(9, 5).UTC()
	hub  = Endpoint{URL: "https://r", Username: "u", Secret: "s", CA: []byte("pem"), SkipVerify: true, Options: map[string]string{"a": "b"}}
	app  = Artifact{Repository: "a/b", Tag: "1", Digest: "sha256:1", MediaType: "m", Labels: []string{"l"}, Size: 5, Pushed: then}
	work = CopyRequest{ID: "i", From: hub, To: Endpoint{URL: "https://q"}, Repository: "a/b", Digest: "sha256:1", ToRepository: "c/d", ToTag: "t",
		Override: true, Referrers: true, BytesPerSecond: 7, Parallel: 3, Checkpoint: "\x00\xff", Via: []string{"hub1"}}
)

func TestAllCrossesTheWireUnchanged(t *testing.T) {
	crosses(t, descriptionToWire, descriptionFromWire, Description{},
		Description{Kind: "oci", Title: "T", Schemes: []string{"https"}, Filters: []string{FilterTag}})
	crosses(t, endpointToWire, endpointFromWire, Endpoint{}, hub)
	crosses(t, statusToWire, statusFromWire, Status{},
		Status{Product: "p", MayPull: true, MayPush: true, ReferrersAPI: true, Warnings: []string{"w"}})
	crosses(t, listToWire, listFromWire, ListRequest{},
		ListRequest{Remote: hub, Repositories: []string{"a/**"}, Tags: []string{"v*"}, Since: then})
	crosses(t, artifactToWire, artifactFromWire, Artifact{}, app)
	crosses(t, copyToWire, copyFromWire, CopyRequest{}, work)
	crosses(t, progressToWire, progressFromWire, Progress{}, Progress{Bytes: 1, Skipped: 2, Total: 3, Checkpoint: "\x00\xff"})
	crosses(t, resultToWire, resultFromWire, Result{}, Result{Bytes: 1, Skipped: 2, Referrers: 3})
	crosses(t, deleteToWire, deleteFromWire, DeleteRequest{}, DeleteRequest{Remote: hub, Repository: "a/b", Tag: "t", Digest: "d"})
	crosses(t, prepareToWire, prepareFromWire, PrepareRequest{}, PrepareRequest{Remote: hub, Repository: "a/b", Public: true})
}

func TestNumbersThatAreTooLargeAreRefused(t *testing.T) {
	const huge = math.MaxUint64
	a := artifactFromWire(&replicatev1.Artifact{Repository: "a", Digest: "d", Size: huge})
	p := progressFromWire(&replicatev1.Progress{Bytes: huge})
	w := copyToWire(work)
	w.Parallel = math.MaxUint32
	for name, err := range map[string]error{"a size": a.check(), "progress": p.check(), "parallel": copyFromWire(w).check(),
		"a result": resultFromWire(&replicatev1.Result{Skipped: huge}).check()} {
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
}
