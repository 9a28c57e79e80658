// What slots hold, in files of one folder: written whole, and read only when they are what was
// written, for the same model.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_SLOT_FILES_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_SLOT_FILES_H_

#include <cstddef>
#include <string>

#include "gumbelspec/batch.h"

namespace gumbelspec::server {

class SlotFiles {
 public:
  // folder: empty: no files, everything below throws ApiError{501}. identity: of the model, whose
  // files no other one takes.
  SlotFiles(std::string folder, std::string identity);

  // Throws: ApiError{400} for a name that is not one of letters, digits, ".", "-" and "_", 1 to 128
  // of them, the first no dot; ApiError{500} if it cannot be written.
  // Returns: the bytes of the file.
  std::size_t write(const std::string& name, const SlotState& state) const;
  // Throws: ApiError{400} likewise, for a file that is not there, damaged, or another model's.
  [[nodiscard]] SlotState read(const std::string& name, std::size_t& n_bytes) const;

 private:
  [[nodiscard]] std::string path_of(const std::string& name) const;

  std::string folder_;
  std::string identity_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_SLOT_FILES_H_
