package registry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"syscall"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Error is an error as clients of registries know it: a code, with its status, a message and a detail.
type Error = errcode.Error

// Codes that distribution does not have. They are the words of Harbor, whose clients know them.
var (
	codePrecondition = errcode.Register("vic", errcode.ErrorDescriptor{Value: "PRECONDITION",
		Message: "precondition failed", HTTPStatusCode: http.StatusPreconditionFailed})
	codePolicy = errcode.Register("vic", errcode.ErrorDescriptor{Value: "PROJECTPOLICYVIOLATION",
		Message: "the project's policy does not allow it", HTTPStatusCode: http.StatusPreconditionFailed})
	codeNotText = errcode.Register("vic", errcode.ErrorDescriptor{Value: "BAD_REQUEST",
		Message: "a text in the request holds a NUL, or bytes that are no UTF-8", HTTPStatusCode: http.StatusBadRequest})
	codeStorage = errcode.Register("vic", errcode.ErrorDescriptor{Value: "INSUFFICIENT_STORAGE",
		Message: "the registry has no room left", HTTPStatusCode: http.StatusInsufficientStorage})
	codeUpstream = errcode.Register("vic", errcode.ErrorDescriptor{Value: "UPSTREAM_INVALID",
		Message: "the upstream registry sends what cannot be", HTTPStatusCode: http.StatusBadGateway})
	codeTooLarge = errcode.Register("vic", errcode.ErrorDescriptor{Value: "REQUEST_ENTITY_TOO_LARGE",
		Message: "too large", HTTPStatusCode: http.StatusRequestEntityTooLarge})
)

// Violation is what a Policy returns for a manifest that must not be pulled: status 412.
func Violation(message string) error { return codePolicy.WithMessage(message) }

// answer makes an error that a client may see of any error. What the client cannot act on is kept for the log.
func answer(err error) error {
	var several errcode.Errors
	var one errcode.Error
	var code errcode.ErrorCode
	switch {
	case errors.As(err, &several):
		return several
	case errors.As(err, &one):
		return one
	case errors.As(err, &code):
		return code
	case isFull(err):
		return codeStorage.WithMessage("the registry's storage is full; nothing was lost: try again when the administrator has made room")
	case store.IsNotText(err):
		return codeNotText
	case errors.Is(err, errdef.ErrUnavailable), errors.Is(err, errdef.ErrPluginDown):
		return errcode.ErrorCodeUnavailable.WithMessage("the identity source does not answer; try again")
	case store.IsUnavailable(err):
		return errcode.ErrorCodeUnavailable.WithMessage("the registry's database does not answer; try again later")
	case errors.Is(err, distribution.ErrBlobUploadUnknown):
		return errcode.ErrorCodeBlobUploadUnknown
	case errors.Is(err, distribution.ErrBlobUnknown):
		return errcode.ErrorCodeBlobUnknown
	case errors.As(err, &distribution.ErrBlobInvalidDigest{}):
		return errcode.ErrorCodeDigestInvalid.WithDetail(err.Error())
	case errors.Is(err, distribution.ErrBlobDigestUnsupported):
		return errcode.ErrorCodeDigestInvalid.WithDetail("the registry knows sha256, sha384 and sha512")
	}
	return errcode.ErrorCodeUnknown.WithMessage("the registry failed; its log says why")
}

// isFull says whether a disk or the database has no room left.
func isFull(err error) bool {
	var d storagedriver.Error // does not unwrap
	if errors.As(err, &d) && d.Detail != nil && isFull(d.Detail) {
		return true
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || store.IsFull(err)
}

// status is what an error of answer is sent with.
func status(err error) int {
	var several errcode.Errors
	if errors.As(err, &several) && len(several) > 0 {
		err = several[0]
	}
	var coder errcode.ErrorCoder
	if errors.As(err, &coder) {
		return coder.ErrorCode().Descriptor().HTTPStatusCode
	}
	return http.StatusInternalServerError
}

// fail answers a request with an error and logs what is the registry's fault.
func (g *Registry) fail(w http.ResponseWriter, r *http.Request, err error) {
	out := answer(err)
	if code := status(out); code >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		g.log.LogAttrs(r.Context(), slog.LevelError, "registry request failed", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", code), slog.Any("err", err))
	}
	var over quotaError
	if q, ok := r.Context().Value(requestKey{}).(*request); ok && errors.As(err, &over) {
		name := projectOf(q.name)
		if p, err := g.FindProject(r.Context(), g.store, name); err == nil { // else it was removed meanwhile
			g.watch.Happened(r.Context(), g.event(q, p.ID, EventQuota, Artifact{Project: name, Repository: q.name}))
		}
	}
	h := w.Header()
	h.Del("ETag")
	h.Del("Content-Length")
	_ = errcode.ServeJSON(w, out)
}

// guard lets distribution's handlers answer, unless something of ours failed: they know only "unknown error" with the
// text of ours, and do not look at what Close of an upload returns.
type guard struct {
	http.ResponseWriter
	g        *Registry
	r        *http.Request
	q        *request
	replaced bool
	begun    bool
}

func (x *guard) WriteHeader(code int) {
	if x.begun || x.replaced {
		return
	}
	err := x.q.failure
	if err == nil && code < http.StatusInternalServerError {
		x.begun = true
		x.ResponseWriter.WriteHeader(code)
		return
	}
	x.replaced = true
	if err == nil {
		err = errors.New("distribution's handler failed")
	}
	for _, name := range []string{"Location", "Range", "Docker-Upload-UUID"} {
		x.Header().Del(name)
	}
	x.g.fail(x.ResponseWriter, x.r, err)
}

func (x *guard) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	if x.replaced {
		return len(p), nil
	}
	return x.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (x *guard) Unwrap() http.ResponseWriter { return x.ResponseWriter }
