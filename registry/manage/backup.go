package manage

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry/transfer"
)

var (
	noBackups      = door.Answer{Status: http.StatusNotImplemented, Code: "UNSUPPORTED", Message: "this registry makes no backups itself"}
	backupUnderway = door.Answer{Status: http.StatusConflict, Code: "BUSY", Message: "a backup is being made"}
)

// backups are the routes of backups; nil: none can be made.
type backups struct{ of *transfer.Backups }

func (b backups) rows() []row {
	return []row{{"backups", "/backups", map[string]method{http.MethodPost: {b.make, nil}}}}
}

// make answers with a backup of the index, as it is at one moment. It is made before the answer begins, so that what fails is told. An answer that is cut off is
// shorter than it says, and a backup knows by itself that it is not whole.
func (b backups) make(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct{}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if b.of == nil {
		return refused(noBackups, transfer.ErrElsewhere.Error())
	}
	backup, size, summary, err := b.of.Make(c.By(r))
	switch {
	case errors.Is(err, transfer.ErrElsewhere):
		return refused(noBackups, transfer.ErrElsewhere.Error())
	case errors.Is(err, transfer.ErrUnderway):
		return refused(backupUnderway, transfer.ErrUnderway.Error())
	case err != nil:
		return err
	}
	defer backup.Close()
	h := head(w, "application/zstd")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Disposition", `attachment; filename="entrepot-`+summary.Made.Format("20060102T150405Z")+`.backup"`)
	w.WriteHeader(http.StatusOK)
	_, err = io.Copy(w, backup)
	return err
}
