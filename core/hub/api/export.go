package api

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/audit"
)

// exportLogs streams lines of the log. The hub keeps none of them in memory, and no transaction open.
func (a *api) exportLogs(c *call) error {
	want, err := c.logQuery()
	if err != nil {
		return err
	}
	format := c.r.PathValue("format")
	write := map[string]func(io.Writer) (func(line) error, func() error){"jsonl": linesAsJSON, "csv": linesAsCSV}[format]
	if write == nil {
		return notFound("%.40q is neither jsonl nor csv", format)
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="audit-log.`+format+`"`)
	c.w.WriteHeader(http.StatusOK)
	one, end := write(c.w)
	err = a.Audit.Each(c.r.Context(), want, func(x audit.Line) error { return one(lineOf(x)) })
	if err == nil {
		err = end()
	}
	if err == nil {
		return nil
	}
	if c.r.Context().Err() == nil {
		a.Log.Error("export of the audit log ends early", "err", err)
	}
	panic(http.ErrAbortHandler) // the client must not take what came for all
}

func linesAsJSON(w io.Writer) (one func(line) error, end func() error) {
	e := json.NewEncoder(w)
	return func(x line) error { return e.Encode(x) }, func() error { return nil }
}

func linesAsCSV(w io.Writer) (one func(line) error, end func() error) {
	e := csv.NewWriter(w) // remembers the first error, for Flush
	_ = e.Write([]string{"id", "op_time", "username", "authentication", "address", "agent", "operation", "resource_type", "resource", "outcome", "detail"})
	return func(x line) error {
			return e.Write([]string{strconv.FormatInt(x.ID, 10), x.Time, cell(x.User), x.By, cell(x.Address), cell(x.Agent), x.Operation, x.Type, cell(x.Resource),
				strconv.Itoa(x.Outcome), cell(x.Detail)})
		}, func() error {
			e.Flush()
			return e.Error()
		}
}

// cell keeps a text of a client's from being a formula in a spreadsheet.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
