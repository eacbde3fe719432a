package registry

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/distribution/distribution/v3"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

const octets = "application/octet-stream"

// content is where a blob lies.
type content struct {
	repo     int64
	size     int64
	location string
	review   sql.NullInt64 // when the collector will look whether a manifest needs it, if it will
}

// findBlob finds where a blob of the digest $2 lies that a repository has.
const findBlob = `SELECT r.id, b.size, b.location, v.due FROM repo r JOIN repo_blob l ON l.repo_id = r.id JOIN blob b ON b.digest = l.digest
	LEFT JOIN review v ON v.repo_id = r.id AND v.kind = 'blob' AND v.digest = l.digest WHERE r.name = $1 AND l.digest = $2`

// find finds a blob that a repository has; distribution.ErrBlobUnknown.
func (g *Registry) find(ctx context.Context, repo string, d digest.Digest) (c content, err error) {
	err = g.store.Point(ctx, findBlob, repo, d.String()).Scan(&c.repo, &c.size, &c.location, &c.review)
	if errors.Is(err, sql.ErrNoRows) {
		err = distribution.ErrBlobUnknown
	}
	return c, err
}

// serveBlob answers GET and HEAD of a blob.
func (g *Registry) serveBlob(w http.ResponseWriter, r *http.Request, repo string, d digest.Digest) error {
	c, err := g.find(r.Context(), repo, d)
	if err != nil {
		return err
	}
	return g.sendBlob(w, r, repo, d, c)
}

// sendBlob answers with one that was found.
func (g *Registry) sendBlob(w http.ResponseWriter, r *http.Request, repo string, d digest.Digest, c content) error {
	h := w.Header()
	h.Set("Docker-Content-Digest", d.String())
	if r.Method == http.MethodHead {
		if err := g.promise(r.Context(), repo, d, c); err != nil {
			return err
		}
	} else if g.o.Redirect && c.size > 0 {
		switch url, err := g.driver.RedirectURL(r, c.location); {
		case err != nil:
			return err
		case url != "":
			http.Redirect(w, r, url, http.StatusTemporaryRedirect)
			return nil
		}
	}
	h.Set("ETag", `"`+d.String()+`"`)
	h.Set("Content-Type", octets)
	h.Set("Cache-Control", "max-age=31536000, immutable")
	if r.Method == http.MethodHead {
		h.Set("Content-Length", strconv.FormatInt(c.size, 10))
		h.Set("Accept-Ranges", "bytes")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	body, err := g.open(r.Context(), c)
	if err != nil {
		return err
	}
	defer body.Close()
	http.ServeContent(w, r, "", time.Time{}, body)
	return nil
}

// promise keeps a blob for one who may push: finding it, they will not send it again, and name it in a manifest soon.
func (g *Registry) promise(ctx context.Context, repo string, d digest.Digest, c content) error {
	if !c.review.Valid || c.review.Int64 > g.after(g.o.Grace/2) {
		return nil
	}
	if q := asking(ctx); q == nil || q.caller.May(ctx, Access{Type: "repository", Name: repo, Action: Push}) != nil {
		return nil
	}
	return g.store.Tx(ctx, func(tx *store.Tx) error {
		p, err := lockRepo(tx, repo)
		if err != nil {
			return err
		}
		var there bool
		if err := tx.Row(`SELECT EXISTS (SELECT 1 FROM repo_blob WHERE repo_id = $1 AND digest = $2)`, p.repo, d.String()).Scan(&there); err != nil {
			return err
		}
		if !there {
			return distribution.ErrBlobUnknown
		}
		return g.review(tx, p, reviewBlob, d, "", g.after(g.o.Grace))
	})
}

// open opens a blob for reading from any place. The caller closes it.
func (g *Registry) open(ctx context.Context, c content) (io.ReadSeekCloser, error) {
	if c.size == 0 {
		return &seeker{}, nil
	}
	rc, err := g.driver.Reader(ctx, c.location, 0)
	if err != nil {
		return nil, err
	}
	if file, ok := rc.(io.ReadSeekCloser); ok { // a file: the kernel can send it
		return file, nil
	}
	return &seeker{ctx: ctx, driver: g.driver, path: c.location, size: c.size, rc: rc}, nil
}

// seeker is content of a storage that reads forward only. After a jump the next read asks the storage anew.
type seeker struct {
	ctx      context.Context
	driver   storagedriver.StorageDriver
	path     string
	size, at int64
	rc       io.ReadCloser // nil: to be opened
	rcAt     int64         // where rc is
}

func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, errors.New("before the start of a blob")
	}
	s.at = offset
	return offset, nil
}

func (s *seeker) Read(p []byte) (int, error) {
	if s.at >= s.size {
		return 0, io.EOF
	}
	if s.rc != nil && s.rcAt != s.at {
		_ = s.rc.Close()
		s.rc = nil
	}
	if s.rc == nil {
		rc, err := s.driver.Reader(s.ctx, s.path, s.at)
		if err != nil {
			return 0, err
		}
		s.rc, s.rcAt = rc, s.at
	}
	n, err := s.rc.Read(p)
	s.at += int64(n)
	s.rcAt += int64(n)
	return n, err
}

func (s *seeker) Close() error {
	if s.rc == nil {
		return nil
	}
	return s.rc.Close()
}
