package vsphere

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/openvic/vic/contrib/lab/authz"
)

// spaceCheck is how many bytes of an upload go by between looks at the free space.
const spaceCheck = 4 << 20

// serveFolder serves files of datastores below /folder/. The patterns carry a method, so they are
// narrower than the simulator's own and win.
func (s *Server) serveFolder(mux *http.ServeMux) {
	handle := func(method string, f func(http.ResponseWriter, *http.Request, string)) {
		mux.HandleFunc(method+" /folder/{path...}", func(w http.ResponseWriter, r *http.Request) {
			user, ok := s.caller(r)
			if !ok {
				w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
				http.Error(w, "a session is required", http.StatusUnauthorized)
				return
			}
			if !s.mayAccess(user, r.URL.Query()) {
				http.Error(w, "permission to perform this operation was denied", http.StatusForbidden)
				return
			}
			p := object.DatastorePath{Datastore: r.URL.Query().Get("dsName"), Path: r.PathValue("path")}
			file := s.path(p.String())
			if file == "" || s.unknownDatacenter(r.URL.Query().Get("dcPath")) {
				http.NotFound(w, r)
				return
			}
			f(w, r, file)
		})
	}
	handle(http.MethodGet, getFile) // also HEAD
	handle(http.MethodPut, s.putFile)
	handle(http.MethodPost, s.putFile)
	handle(http.MethodDelete, s.deleteFile)
}

func (s *Server) unknownDatacenter(path string) bool {
	return path != "" && strings.Trim(path, "/") != s.datacenterName()
}

// caller returns who makes a request: the user of a live session's cookie, or the user and password
// that a browser sends.
func (s *Server) caller(r *http.Request) (Account, bool) {
	if user, pass, ok := r.BasicAuth(); ok {
		a, _, ok := s.accounts.Login(user, pass)
		return a, ok
	}
	c, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return Account{}, false
	}
	// The session's view of the manager lists the sessions that there are.
	sm, ok := s.context().Session.Get(s.reg.SessionManager().Self).(*simulator.SessionManager)
	if !ok {
		return Account{}, false
	}
	for _, session := range sm.SessionList {
		if session.Key == strings.Trim(c.Value, `"`) {
			return s.accounts.User(session.UserName)
		}
	}
	return Account{}, false
}

// mayAccess asks for what the Programming Guide lists under "Privilege Requirements for HTTP
// Access", on the datastore and on the datacenter that the URL names.
func (s *Server) mayAccess(a Account, q url.Values) bool {
	if a.Admin() {
		return true
	}
	var needs []authz.Missing
	add := func(ref authz.Ref) {
		needs = append(needs, authz.Missing{Privilege: "Datastore.Browse", On: ref}, authz.Missing{Privilege: "Datastore.FileManagement", On: ref})
	}
	if ds, ok := s.datastoreRef(q.Get("dsName")); ok {
		add(ds)
	}
	dc := path.Base(q.Get("dcPath"))
	if ref, ok := s.findFixed("Datacenter", func(e mo.Entity) bool { return e.Entity().Name == dc }); ok {
		add(ref)
	}
	return s.missing(s.subjectOf(a), needs) == nil
}

func getFile(w http.ResponseWriter, r *http.Request, file string) {
	if st, err := os.Stat(file); err != nil || st.IsDir() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(w, r, file)
}

// putFile stores an upload; POST does not overwrite. A broken upload leaves no file.
func (s *Server) putFile(w http.ResponseWriter, r *http.Request, file string) {
	if _, err := os.Stat(file); err == nil && r.Method == http.MethodPost {
		http.Error(w, "the file exists", http.StatusConflict)
		return
	}
	if user := s.userOf(file); user != "" {
		http.Error(w, "the file is in use by "+user, http.StatusConflict)
		return
	}
	ds := s.datastore(r.URL.Query().Get("dsName"))
	if _, free := ds.space(); r.ContentLength > free {
		http.Error(w, errNoSpace.Error(), http.StatusInsufficientStorage)
		return
	}
	err := storeUpload(ds, file, r.Body)
	defer s.refreshDatastores()
	switch {
	case errors.Is(err, errNoSpace), errors.Is(err, syscall.ENOSPC):
		http.Error(w, errNoSpace.Error(), http.StatusInsufficientStorage)
	case err != nil:
		s.cfg.Log.Warn("upload failed", "file", file, "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusCreated)
	}
}

func storeUpload(ds *Datastore, file string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".upload-")
	if err != nil {
		return err
	}
	if err := errors.Join(copyChecked(ds, tmp, r), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return os.Rename(tmp.Name(), file)
}

func copyChecked(ds *Datastore, w io.Writer, r io.Reader) error {
	for {
		n, err := io.CopyN(w, r, spaceCheck)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, free := ds.space(); ds.Size != 0 && free < n {
			return errNoSpace
		}
	}
}

func (s *Server) deleteFile(w http.ResponseWriter, r *http.Request, file string) {
	st, err := os.Stat(file)
	switch {
	case err != nil || st.IsDir():
		http.NotFound(w, r)
	case s.userOf(file) != "":
		http.Error(w, "the file is in use by "+s.userOf(file), http.StatusConflict)
	default:
		if err := os.Remove(file); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s.refreshDatastores()
		w.WriteHeader(http.StatusNoContent)
	}
}

var _ simulator.VirtualDiskManagerInterface = (*diskManager)(nil)
