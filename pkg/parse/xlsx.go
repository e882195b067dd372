package parse

import (
	"bytes"
	"context"

	"github.com/xuri/excelize/v2"
)

// readXlsx reads a workbook: every sheet that is shown is a heading and a
// table of the values as they are shown.
func (w *work) readXlsx(ctx context.Context, data []byte) (content, error) {
	a, err := w.openArchive(data)
	if err != nil {
		return content{}, err
	}
	var c content
	if err := a.properties(ctx, &c, "docProps/core.xml"); err != nil {
		return content{}, err
	}
	// excelize unpacks all files into memory and refuses by the sizes in their
	// headers, which archive/zip enforces; equal limits keep it off the disk.
	size := int64(max(w.limits.MaxText-w.unpacked, 1))
	for _, f := range a.files {
		if size -= int64(min(f.UncompressedSize64, uint64(w.limits.MaxText)+1)); size < 0 {
			return content{}, tooLarge(errText, "document unpacks to more than %d bytes (MaxText)", w.limits.MaxText)
		}
	}
	limit := int64(w.limits.MaxText)
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: limit, UnzipXMLSizeLimit: limit})
	if err != nil {
		return content{}, broken(err, "workbook")
	}
	defer func() { _ = f.Close() }()
	var out writer
	cells := 0
	for _, name := range f.GetSheetList() {
		if visible, err := f.GetSheetVisible(name); err != nil || !visible {
			continue // err: a chart, which has no cells
		}
		rows, err := w.sheetRows(ctx, f, name, &cells)
		if err != nil {
			return content{}, broken(err, "sheet "+cutText(name))
		}
		if len(rows) == 0 {
			continue
		}
		out.heading(2, name)
		out.table(rows)
	}
	c.text = out.b.String()
	return c, nil
}

// sheetRows returns the rows of a sheet that have a value. cells counts those
// read, empty ones too: a cell far to the right stands for thousands.
func (w *work) sheetRows(ctx context.Context, f *excelize.File, name string, cells *int) ([][]string, error) {
	rows, err := f.Rows(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out [][]string
	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		if *cells += 1 + len(row); *cells > w.limits.MaxText {
			return nil, tooLarge(errText, "workbook has more than %d cells (MaxText)", w.limits.MaxText)
		}
		out = append(out, row)
	}
	out, _ = trimTable(out)
	return out, rows.Error()
}
