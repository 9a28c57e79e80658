#include "src/pair/cost_cache.h"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "gumbelspec/pair.h"
#include "src/pair/kernels.h"

namespace gumbelspec {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The machine may have changed in ways that the key does not show.
constexpr std::chrono::hours kMostAge{24 * 30};

std::string model_key(const std::string& path, const LlamaModel& model) {
  std::error_code failure;
  const auto bytes = fs::file_size(path, failure);
  const auto time = fs::last_write_time(path, failure).time_since_epoch().count();
  return fs::weakly_canonical(path, failure).string() + ", " + std::to_string(bytes) + " bytes, " +
         std::to_string(time) + ", " + model.description();
}

std::string pair_key(const LlamaModel& target, const LlamaModel* draft,
                     const CostCache::Loaded& loaded) {
  return loaded.details + "; target " + model_key(loaded.target, target) +
         (draft == nullptr ? "; no draft" : "; draft " + model_key(loaded.draft, *draft));
}

// Where the layers are says nothing about the way there.
std::string placement_key(const LlamaModel& model) {
  std::string text;
  for (const LlamaPlacement& part : model.placement()) {
    text += " " + part.device + ":" + std::to_string(part.layers.size());
  }
  return text;
}

// Everything that a pass's time depends on and that can be known.
std::string cost_key(const LlamaModel& target, const LlamaModel* draft,
                     const CostCache::Loaded& loaded) {
  std::string servers;
  for (const std::string& server : loaded.rpc_servers) servers += "; RPC server " + server;
  return std::string("gumbelspec ") + GUMBELSPEC_VERSION + "; " +
         LlamaModel::backend_description() + "; kernels " +
         (loaded.uses_kernels ? kernels_description() : "not used") + "; threads " +
         std::to_string(target.n_threads()) + "; layers on" + placement_key(target) + "," +
         (draft == nullptr ? std::string() : placement_key(*draft)) + servers + "; attention " +
         std::to_string(static_cast<int>(loaded.attention)) + "; snapshots " +
         std::to_string(target.rollback().n_snapshots) + pair_key(target, draft, loaded);
}

// How good a draft is depends on the two models alone.
std::string calibration_key(const LlamaModel& target, const LlamaModel* draft,
                            const CostCache::Loaded& loaded) {
  return std::string("calibration, gumbelspec ") + GUMBELSPEC_VERSION +
         pair_key(target, draft, loaded);
}

// FNV-1a, 64 bits; the file holds the whole key.
fs::path file_of(const std::string& folder, const std::string& key) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  std::string name;
  for (int i = 0; i < 16; ++i) name += "0123456789abcdef"[(hash >> (4 * i)) & 15U];
  return fs::path(folder) / (name + ".json");
}

// Throws: std::exception unless there is a whole, recent file of this key.
Json read(const std::string& folder, const std::string& key) {
  const fs::path file = file_of(folder, key);
  if (fs::file_time_type::clock::now() - fs::last_write_time(file) > kMostAge) {
    throw std::runtime_error("too old");
  }
  std::ifstream in(file);
  Json json = Json::parse(in);
  if (json.at("key") != key) throw std::runtime_error("of something else");
  return json;
}

// Several programs may do so at once, and the disk may be full: then there is no file.
void write(const std::string& folder, const std::string& key, Json json) {
  json["key"] = key;
  const fs::path file = file_of(folder, key);
  std::error_code failure;
  fs::create_directories(file.parent_path(), failure);
  const fs::path temporary = file.string() + "." + std::to_string(::getpid());
  {
    std::ofstream out(temporary);
    out << json.dump(1) << "\n";
    out.close();
    if (out.fail()) {
      fs::remove(temporary, failure);
      return;
    }
  }
  fs::rename(temporary, file, failure);
  if (failure) fs::remove(temporary, failure);
}

Json curve_json(const PassCost& cost) {
  Json points = Json::array();
  for (const CostPoint& p : cost.curve()) points.push_back({p.n, p.seconds});
  return points;
}

PassCost curve_from(const Json& json) {
  std::vector<CostPoint> points;
  for (const Json& p : json) points.push_back({p.at(0).get<std::size_t>(), p.at(1).get<double>()});
  if (points.empty()) throw std::logic_error("an empty curve");
  return PassCost(std::move(points));
}

Json to_json(const CalibrationRecord& record) {
  Json json;
  CalibrationKey::visit(record.key,
                        [&](const char* name, const auto& field) { json[name] = field; });
  json["numbers"] = record.numbers;
  return json;
}

CalibrationRecord record_from(const Json& json) {
  CalibrationRecord record;
  CalibrationKey::visit(record.key,
                        [&](const char* name, auto& field) { json.at(name).get_to(field); });
  json.at("numbers").get_to(record.numbers);
  return record;
}

}  // namespace

std::string loading_details(const LlamaModelOptions& options) {
  std::string text;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) text += "; " + name + " " + value;
  };
  add("keys", options.cache_type_k);
  add("values", options.cache_type_v);
  for (const std::string& override : options.overrides) add("metadata", override);
  for (const std::string& place : options.weight_places) add("weights", place);
  for (const LlamaAdapter& lora : options.loras) {
    add("adapter", lora.path + " * " + std::to_string(lora.scale));
  }
  for (const LlamaAdapter& vector : options.control_vectors) {
    add("control vector", vector.path + " * " + std::to_string(vector.scale));
  }
  return text;
}

CostCache::CostCache(const LlamaModel& target, const LlamaModel* draft, const Loaded& loaded,
                     bool is_used) {
  if (!is_used) return;
  folder_ = cost_cache_folder();
  has_draft_ = draft != nullptr;
  cost_key_ = cost_key(target, draft, loaded);
  calibration_key_ = calibration_key(target, draft, loaded);
}

std::shared_ptr<CostModel> CostCache::costs() const {
  if (folder_.empty()) return nullptr;
  try {
    const Json json = read(folder_, cost_key_);
    return std::make_shared<CostModel>(CostModel{
        curve_from(json.at("target")), has_draft_ ? curve_from(json.at("draft")) : PassCost()});
  } catch (const std::exception&) {
    return nullptr;
  }
}

void CostCache::keep(const CostModel& costs) const {
  if (folder_.empty()) return;
  write(folder_, cost_key_,
        {{"target", curve_json(costs.target)}, {"draft", curve_json(costs.draft)}});
}

std::shared_ptr<CalibrationStore> CostCache::calibrations() const {
  auto store = std::make_shared<CalibrationStore>();
  if (folder_.empty()) return store;
  try {
    const Json kept = read(folder_, calibration_key_);
    for (const Json& json : kept.at("calibrations")) store->keep(record_from(json));
  } catch (const std::exception&) {
    return std::make_shared<CalibrationStore>();
  }
  return store;
}

void CostCache::keep(const CalibrationStore& calibrations) const {
  if (folder_.empty() || calibrations.records().empty()) return;
  Json list = Json::array();
  for (const CalibrationRecord& record : calibrations.records()) list.push_back(to_json(record));
  write(folder_, calibration_key_, {{"calibrations", std::move(list)}});
}

std::string cost_cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') return (fs::path(cache) / "gumbelspec/costs").string();
  if (home == nullptr || *home != '/') return {};
  return (fs::path(home) / ".cache/gumbelspec/costs").string();
}

}  // namespace gumbelspec
