package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// A blob that was pushed is served, also by a later registry on the same folder.
func TestPushAndPull(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	addr, err := Serve(ctx, "127.0.0.1:0", root)
	if err != nil {
		t.Fatal(err)
	}
	blob := []byte("layer")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	res, err := http.Post("http://"+addr+"/v2/library/x/blobs/uploads/", "", nil)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatal(res, err)
	}
	req, err := http.NewRequest(http.MethodPut, res.Header.Get("Location")+"&digest="+digest, bytes.NewReader(blob))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatal(res, err)
	}
	cancel()
	addr, err = Serve(t.Context(), "127.0.0.1:0", root)
	if err != nil {
		t.Fatal(err)
	}
	res, err = http.Get("http://" + addr + "/v2/library/x/blobs/" + digest)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK || !bytes.Equal(b, blob) {
		t.Errorf("%d %q", res.StatusCode, b)
	}
}
