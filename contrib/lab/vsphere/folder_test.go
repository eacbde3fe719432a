package vsphere

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/soap"
)

func userinfo(user, pass string) *url.Userinfo { return url.UserPassword(user, pass) }

func (r *rig) folderURL(path, ds string) string {
	u := *r.URL()
	u.User, u.Path, u.RawQuery = nil, "/folder/"+path, url.Values{"dsName": {ds}, "dcPath": {DatacenterName}}.Encode()
	return u.String()
}

func request(t *testing.T, method, u string, body io.Reader, prepare func(*http.Request)) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, u, body)
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestFolderNeedsASession(t *testing.T) {
	r := newRig(t)
	u := r.folderURL("a/f", "datastore1")
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete} {
		if got := request(t, m, u, strings.NewReader("x"), nil); got != http.StatusUnauthorized {
			t.Errorf("%s without a session: %d", m, got)
		}
	}
	if got := request(t, http.MethodGet, u, nil, func(q *http.Request) {
		q.AddCookie(&http.Cookie{Name: soap.SessionCookieName, Value: "made-up"})
	}); got != http.StatusUnauthorized {
		t.Errorf("made-up session: %d", got)
	}
	auth := func(q *http.Request) { q.SetBasicAuth("administrator", "pw") }
	for _, c := range []struct {
		method, url string
		want        int
	}{
		{http.MethodPut, u, http.StatusCreated},
		{http.MethodPost, u, http.StatusConflict},
		{http.MethodGet, u, http.StatusOK},
		{http.MethodGet, r.folderURL("a", "datastore1"), http.StatusNotFound},
		{http.MethodGet, r.folderURL("a/f", "nowhere"), http.StatusNotFound},
		{http.MethodDelete, u, http.StatusNoContent},
		{http.MethodGet, u, http.StatusNotFound},
	} {
		if got := request(t, c.method, c.url, strings.NewReader("x"), auth); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.url, got, c.want)
		}
	}
}

func TestUploadAndFullDatastore(t *testing.T) {
	r := newRig(t)
	ds, err := r.find.Datastore(r.ctx, "tiny")
	r.must(err)
	r.must(ds.Upload(r.ctx, bytes.NewReader(bytes.Repeat([]byte("a"), 5<<20)), "dir/one", nil))
	if err := ds.Upload(r.ctx, bytes.NewReader(make([]byte, 5<<20)), "two", &soap.Upload{ContentLength: 5 << 20, Method: "PUT"}); err == nil {
		t.Error("an upload that does not fit was accepted")
	}
	// A length that is not known at first: found out on the way.
	if err := ds.Upload(r.ctx, io.LimitReader(ones{}, 9<<20), "three", &soap.Upload{ContentLength: -1, Method: "PUT"}); err == nil {
		t.Error("an endless upload was accepted")
	}
	var free int64
	eventually(t, "free space", func() bool {
		free = freeSpace(r, ds)
		return free < 4<<20
	})
	files, err := ds.Stat(r.ctx, "dir/one")
	if err != nil || files.GetFileInfo().FileSize != 5<<20 {
		t.Errorf("stat: %v %v", files, err)
	}
	if _, err := ds.Stat(r.ctx, "three"); err == nil {
		t.Error("a broken upload left a file")
	}
}

type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

func freeSpace(r *rig, ds *object.Datastore) int64 {
	for _, e := range r.reg.All("Datastore") {
		if e.Reference() == ds.Reference() {
			d := r.datastore("tiny")
			_, free := d.space()
			return free
		}
	}
	return -1
}
